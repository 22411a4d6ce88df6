//! What a thread works for at the moment: a value that stands in a variable of
//! the thread's own while a future is polled.

use std::{
    cell::RefCell,
    pin::Pin,
    task::{Context, Poll},
    thread::LocalKey,
};

use pin_project_lite::pin_project;

/// Where such a value stands.
pub type Variable<T> = &'static LocalKey<RefCell<Option<T>>>;

/// The value in `variable`, where there is one.
pub fn current<T: Clone>(variable: Variable<T>) -> Option<T> {
    variable.with_borrow(Clone::clone)
}

/// `work`, of which each step is done with `value` in `variable`; without a
/// value, with what stands there anyway.
pub fn within<F, T>(variable: Variable<T>, value: Option<T>, work: F) -> Within<F, T> {
    Within {
        work,
        value,
        variable,
    }
}

pin_project! {
    /// See [`within`].
    pub struct Within<F, T: 'static> {
        #[pin]
        work: F,
        value: Option<T>,
        variable: Variable<T>,
    }
}

impl<F: Future, T: Clone> Future for Within<F, T> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if this.value.is_none() {
            return this.work.poll(cx);
        }
        let _left = Entered {
            variable: *this.variable,
            before: this.variable.replace(this.value.clone()),
        };
        this.work.poll(cx)
    }
}

/// Puts back what stood there before, also after a panic.
struct Entered<T: 'static> {
    variable: Variable<T>,
    before: Option<T>,
}

impl<T> Drop for Entered<T> {
    fn drop(&mut self) {
        self.variable.set(self.before.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    thread_local! {
        static NUMBER: RefCell<Option<u32>> = const { RefCell::new(None) };
    }

    fn poll<F: Future>(work: F) -> Poll<F::Output> {
        let mut work = std::pin::pin!(work);
        work.as_mut()
            .poll(&mut Context::from_waker(std::task::Waker::noop()))
    }

    #[test]
    fn what_stood_there_is_put_back_after_a_panic_too() {
        let inner = within(&NUMBER, Some(2), async {
            let seen = current(&NUMBER);
            assert_eq!(seen, Some(2));
            seen
        });
        let outer = within(&NUMBER, Some(1), async {
            assert_eq!(inner.await, Some(2));
            let unchanged = within(&NUMBER, None, async { current(&NUMBER) });
            assert_eq!(unchanged.await, Some(1));
            panic!("on purpose");
        });
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _: Poll<()> = poll(outer);
        }));
        assert!(panicked.is_err());
        assert_eq!(current(&NUMBER), None);
    }
}
