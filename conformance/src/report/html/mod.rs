//! The report as one page of HTML that needs nothing else: no network, no other file.

mod diagram;
mod page;
mod view;

pub use page::write;
