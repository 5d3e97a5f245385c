//! A client that registers, places calls when it is told to, and takes those that come.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::{
    sync::{mpsc, oneshot},
    time::{sleep_until, timeout},
};

use crate::wire::{Way, Wire};

/// How long a client waits for what has to come.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a call is held after its answer.
const TALK: Duration = Duration::from_secs(1);

/// What a client learns of what it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// It can be called.
    Registered,
    /// The callee is alerted.
    Rings,
    /// The callee took the call.
    Answered,
    /// The call is over, and was ended by this side.
    Over,
    /// Something that must not be.
    Fault(String),
}

/// One client in the words of one protocol. What it sends goes to `out`.
pub(crate) trait Dialect: Send + 'static {
    /// The connection is open.
    fn hello(&mut self, out: &mut Vec<String>);
    /// The server says something.
    fn heard(&mut self, text: &str, out: &mut Vec<String>) -> Option<News>;
    /// Calls somebody.
    fn dial(&mut self, callee: &str, out: &mut Vec<String>);
    /// Ends the call.
    fn hang_up(&mut self, out: &mut Vec<String>);
}

/// How long the steps of a call took, seen by its caller.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Steps {
    /// From the call to ringing.
    pub(crate) ringing: Duration,
    /// From the call to the answer.
    pub(crate) answered: Duration,
    /// From hanging up to its confirmation.
    pub(crate) ended: Duration,
}

/// Calls somebody and hangs up after a moment.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) callee: String,
    pub(crate) tell: oneshot::Sender<Result<Steps>>,
}

/// A client that is there until this is dropped.
#[derive(Debug)]
pub(crate) struct Phone {
    pub(crate) orders: mpsc::Sender<Order>,
}

impl Phone {
    /// Connects and registers.
    pub(crate) async fn open(way: &Way, mut dialect: impl Dialect) -> Result<Self> {
        let mut wire = Wire::open(way).await?;
        let registered = async {
            let mut out = Vec::new();
            dialect.hello(&mut out);
            loop {
                for text in out.drain(..) {
                    wire.send(&text).await?;
                }
                let text = wire.read().await?.context("the server closed the connection")?;
                match dialect.heard(&text, &mut out) {
                    Some(News::Registered) => break,
                    Some(News::Fault(fault)) => bail!("{fault}"),
                    Some(News::Rings | News::Answered | News::Over) | None => {}
                }
            }
            for text in out.drain(..) {
                wire.send(&text).await?;
            }
            Ok(())
        };
        timeout(PATIENCE, registered).await.context("a client was not registered in time")??;
        let (orders, taken) = mpsc::channel(1);
        tokio::spawn(live(wire, dialect, taken));
        Ok(Self { orders })
    }
}

/// A call that was placed.
struct Placed {
    at: Instant,
    steps: Steps,
    hang_up_at: Option<Instant>,
    hung_up_at: Option<Instant>,
    tell: oneshot::Sender<Result<Steps>>,
}

/// Takes calls and places those that are ordered, until nobody can order any.
async fn live(mut wire: Wire, mut dialect: impl Dialect, mut orders: mpsc::Receiver<Order>) {
    let mut placed: Option<Placed> = None;
    let mut out = Vec::new();
    let far = Instant::now() + Duration::from_secs(86_400);
    loop {
        let hang_up_at = placed.as_ref().and_then(|call| call.hang_up_at).unwrap_or(far);
        tokio::select! {
            text = wire.read() => {
                let now = Instant::now();
                let news = match text {
                    Ok(Some(text)) => dialect.heard(&text, &mut out),
                    Ok(None) => Some(News::Fault("the server closed the connection".to_owned())),
                    Err(error) => Some(News::Fault(error.to_string())),
                };
                let is_fault = matches!(news, Some(News::Fault(_)));
                placed = placed.and_then(|call| call.goes_on(now, news));
                if is_fault && placed.is_none() {
                    return;
                }
            }
            order = orders.recv(), if placed.is_none() => {
                let Some(Order { callee, tell }) = order else { return };
                placed = Some(Placed { at: Instant::now(), steps: Steps::default(), hang_up_at: None, hung_up_at: None, tell });
                dialect.dial(&callee, &mut out);
            }
            () = sleep_until(hang_up_at.into()) => {
                if let Some(call) = &mut placed {
                    call.hang_up_at = None;
                    call.hung_up_at = Some(Instant::now());
                    dialect.hang_up(&mut out);
                }
            }
        }
        for text in out.drain(..) {
            if wire.send(&text).await.is_err() {
                return;
            }
        }
    }
}

impl Placed {
    /// What becomes of the call by this.
    fn goes_on(mut self, now: Instant, news: Option<News>) -> Option<Self> {
        match news {
            Some(News::Rings) if self.steps.ringing.is_zero() => self.steps.ringing = now - self.at,
            Some(News::Answered) => {
                self.steps.answered = now - self.at;
                self.hang_up_at = Some(now + TALK);
            }
            Some(News::Over) => {
                self.steps.ended = self.hung_up_at.map_or(Duration::ZERO, |at| now - at);
                // Who ordered it may have lost patience.
                drop(self.tell.send(Ok(self.steps)));
                return None;
            }
            Some(News::Fault(fault)) => {
                drop(self.tell.send(Err(anyhow::anyhow!(fault))));
                return None;
            }
            Some(News::Rings | News::Registered) | None => {}
        }
        Some(self)
    }
}
