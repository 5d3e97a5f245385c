//! The bus as a feed of rendered events.

use causeway_app::{Cursor, EventFeed, FeedBatch, FeedReader, NextBatch, WantedProjects};

use crate::{
    bus::{Batch, EventBus, Subscription},
    render::render,
};

struct Reader {
    subscription: Subscription,
    wanted: WantedProjects,
}

impl EventFeed for EventBus {
    fn open(&self, after: Option<Cursor>, wanted: WantedProjects) -> Box<dyn FeedReader> {
        let subscription = after.map_or_else(|| self.subscribe(), |after| self.subscribe_after(after));
        Box::new(Reader { subscription, wanted })
    }

    fn newest(&self) -> Cursor {
        Self::newest(self)
    }
}

impl Reader {
    fn skip_missed(&mut self) -> Option<FeedBatch> {
        let read_to = |reader: &Self| reader.subscription.after();
        self.subscription.skip_missed().then(|| FeedBatch { events: Vec::new(), has_gap: true, read_to: read_to(self) })
    }

    fn rendered(&self, batch: &Batch) -> FeedBatch {
        FeedBatch {
            events: batch
                .records
                .iter()
                .filter(|record| record.event.is_public() && (self.wanted)(record.project))
                .map(|record| render(record))
                .collect(),
            has_gap: batch.missed > 0,
            read_to: self.subscription.after(),
        }
    }
}

impl FeedReader for Reader {
    fn next(&mut self, max: usize) -> NextBatch<'_> {
        Box::pin(async move {
            if let Some(gap) = self.skip_missed() {
                return Some(gap);
            }
            let batch = self.subscription.next(max).await?;
            Some(self.rendered(&batch))
        })
    }

    fn take(&mut self, max: usize) -> Option<FeedBatch> {
        if let Some(gap) = self.skip_missed() {
            return Some(gap);
        }
        let batch = self.subscription.take(max)?;
        Some(self.rendered(&batch))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use causeway_app::{DomainEvent, EventSink, ProjectId, TokenId};
    use causeway_types::UnixTime;

    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_790_000_000);
    const FIRST: Cursor = Cursor(1_790_000_000_000_000);

    fn emit(bus: &EventBus, project: i64) {
        bus.emit(NOW, ProjectId(project), DomainEvent::TokenRevoked { token: TokenId(1) });
    }

    fn only(project: i64) -> WantedProjects {
        Arc::new(move |asked| asked == ProjectId(project))
    }

    #[tokio::test]
    async fn a_reader_gets_the_events_of_wanted_projects_only_and_stands_behind_the_others() {
        let bus = EventBus::new(FIRST, 100);
        let mut reader = bus.open(None, only(2));
        for project in [1, 2, 1] {
            emit(&bus, project);
        }
        let batch = reader.next(10).await.expect("the bus lives");
        assert_eq!(batch.events.iter().map(|event| event.project.0).collect::<Vec<_>>(), [2]);
        assert_eq!((batch.has_gap, batch.read_to), (false, bus.newest()));
        assert_eq!(reader.take(10), None);
    }

    #[tokio::test]
    async fn a_cursor_of_before_a_restart_is_a_gap_even_when_nothing_has_happened_since() {
        let bus = EventBus::new(FIRST, 100);
        let mut reader = bus.open(Some(Cursor(7)), only(1));
        let batch = reader.next(10).await.expect("the bus lives");
        assert!(batch.has_gap && batch.events.is_empty());
        emit(&bus, 1);
        let batch = reader.next(10).await.expect("the bus lives");
        assert_eq!((batch.has_gap, batch.events.len()), (false, 1));
    }

    #[tokio::test]
    async fn the_newest_cursor_leaves_no_gap() {
        let bus = EventBus::new(FIRST, 100);
        let mut reader = bus.open(Some(EventFeed::newest(&bus)), only(1));
        assert_eq!(reader.take(10), None);
        emit(&bus, 1);
        assert!(!reader.take(10).expect("one").has_gap);
    }
}
