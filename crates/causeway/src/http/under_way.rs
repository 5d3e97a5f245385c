//! Which requests of a connection are under way: from their head to the end of their answer's body.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::{sync::watch, time::timeout};

/// How many requests of a connection are under way.
#[derive(Debug)]
pub(super) struct UnderWay(Arc<watch::Sender<usize>>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub(super) struct One(Arc<watch::Sender<usize>>);

impl Default for UnderWay {
    fn default() -> Self {
        Self(Arc::new(watch::channel(0).0))
    }
}

impl UnderWay {
    /// One more.
    pub(super) fn begin(&self) -> One {
        self.0.send_modify(|count| *count += 1);
        One(Arc::clone(&self.0))
    }

    /// Waits until there was none for this long, from now on.
    pub(super) async fn none_for(&self, quiet: Duration) {
        let mut count = self.0.subscribe();
        loop {
            // The sender lives here: there is nothing to fail.
            let _is_none = count.wait_for(|count| *count == 0).await.is_ok();
            if timeout(quiet, count.changed()).await.is_err() {
                return;
            }
        }
    }
}

impl One {
    /// The body, with which this one ends.
    pub(super) fn until_the_end_of(self, body: Body) -> Answer {
        Answer { body, _under_way: self }
    }
}

impl Drop for One {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

/// An answer's body, as it was.
#[derive(Debug)]
pub(super) struct Answer {
    body: Body,
    _under_way: One,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    const QUIET: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_quiet_when_its_last_answer_was_sent() {
        let under_way = UnderWay::default();
        let one = under_way.begin();
        assert!(timeout(10 * QUIET, under_way.none_for(QUIET)).await.is_err(), "a request is under way");
        let body = one.until_the_end_of(Body::from("hello"));
        assert_eq!(body.size_hint().exact(), Some(5), "its length is still known");
        assert!(timeout(10 * QUIET, under_way.none_for(QUIET)).await.is_err(), "its answer is not sent");
        assert_eq!(to_bytes(Body::new(body), 10).await.unwrap(), "hello");
        let began = tokio::time::Instant::now();
        under_way.none_for(QUIET).await;
        assert_eq!(began.elapsed(), QUIET);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_begins_the_wait_anew() {
        let under_way = UnderWay::default();
        let asks = async {
            for _ in 0..3 {
                tokio::time::sleep(QUIET - Duration::from_secs(1)).await;
                drop(under_way.begin());
            }
        };
        let began = tokio::time::Instant::now();
        tokio::join!(under_way.none_for(QUIET), asks);
        assert_eq!(began.elapsed(), 3 * (QUIET - Duration::from_secs(1)) + QUIET);
    }
}
