//! The store on disk: what it is given comes back, whatever happens to the file it says, and nothing is lost in silence.

mod damage;
mod failing;
mod life;
mod records;
mod serving;
