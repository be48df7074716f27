//! Panics in tasks that nobody joins: a runtime swallows them, and the run would go on as if nothing had happened.

use std::{any::Any, cell::RefCell, panic, sync::Once};

thread_local! {
    static SEEN: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Notes panics of this thread from now on; what was noted before is forgotten. The hook that was there still runs.
pub(crate) fn watch() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        let earlier = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let place = info.location().map_or_else(String::new, |at| format!(" ({}:{})", at.file(), at.line()));
            let text = format!("{}{place}", message(info.payload()));
            SEEN.with(|seen| {
                if let Ok(mut seen) = seen.try_borrow_mut() {
                    seen.get_or_insert(text);
                }
            });
            earlier(info);
        }));
    });
    SEEN.with(|seen| seen.borrow_mut().take());
}

/// The first panic of this thread since `watch`.
pub(crate) fn seen() -> Option<String> {
    SEEN.with(|seen| seen.borrow().clone())
}

/// What a panic said.
pub(crate) fn message(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic without words".to_owned()
    }
}
