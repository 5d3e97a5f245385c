//! The event stream on the wire: a real listener, a real store, bytes as a client sees them (`docs/events.md`).

#[path = "../it/deliveries.rs"]
mod deliveries;
mod world;

use std::time::Duration;

use causeway_api_causeway::{EVENT_STREAMS_MAX, EVENT_STREAMS_PER_PROJECT_MAX};
use causeway_app::Cursor;

use crate::world::World;

#[tokio::test]
async fn events_arrive_in_order_with_their_cursor_and_only_those_of_the_callers_project() {
    let world = World::start().await;
    let mut stream = world.follow("", &[]).await;
    world.open_room(1, "first");
    world.open_room(2, "of-another-project");
    world.open_room(1, "second");
    let events = stream.events(2).await;
    assert_eq!(events.iter().map(|event| event.room()).collect::<Vec<_>>(), ["first", "second"]);
    assert_eq!(events[0].name, "room.opened");
    assert_eq!(events[0].id, events[0].data["id"].as_str().unwrap());
    assert!(stream.head.contains("content-type: text/event-stream"), "{}", stream.head);
    assert!(stream.head.contains("cache-control: no-cache"), "{}", stream.head);
}

#[tokio::test]
async fn a_stream_resumes_behind_the_last_event_by_header_or_parameter_and_the_header_wins() {
    let world = World::start().await;
    let before = world.newest();
    for room in ["a", "b", "c"] {
        world.open_room(1, room);
    }
    let all = world.follow(&format!("?after={}", before.0), &[]).await.events(3).await;
    assert_eq!(all.iter().map(|event| event.room()).collect::<Vec<_>>(), ["a", "b", "c"]);
    let resumed = world.follow("", &[("Last-Event-ID", &all[0].id)]).await.events(2).await;
    assert_eq!(resumed[0].room(), "b");
    let both = world.follow(&format!("?after={}", before.0), &[("Last-Event-ID", &all[1].id)]).await.events(1).await;
    assert_eq!(both[0].room(), "c");
}

#[tokio::test]
async fn types_are_filtered_and_an_unknown_one_is_named() {
    let world = World::start().await;
    let mut stream = world.follow("?types=room.closed,session.started", &[]).await;
    world.open_room(1, "a");
    world.close_room(1, "a");
    assert_eq!(stream.events(1).await[0].name, "room.closed");
    for query in ["?types=room.exploded", "?after=x", "?after=12345678901234567"] {
        let refused = world.follow(query, &[]).await;
        assert_eq!(refused.status, 422, "{query}");
    }
}

#[tokio::test]
async fn lost_events_are_told_once_before_the_stream_goes_on() {
    let world = World::start().await;
    let mut stream = world.follow("?after=7&types=room.opened", &[]).await;
    assert_eq!(stream.events(1).await[0].name, "gap");
    world.open_room(1, "a");
    let events = stream.events(1).await;
    assert_eq!((events[0].name.as_str(), events[0].room()), ("room.opened", "a"));
}

#[tokio::test]
async fn a_ring_overrun_is_a_gap_and_the_rest_follows_without_loss() {
    let world = World::start().await;
    let before = world.newest();
    for number in 0..world::RING + 10 {
        world.open_room(1, &format!("room-{number}"));
    }
    let events = world.follow(&format!("?after={}", before.0), &[]).await.events(world::RING + 1).await;
    assert_eq!(events[0].name, "gap");
    assert_eq!(events[0].data["resumesAfter"], Cursor(before.0 + 10).0.to_string());
    assert_eq!(events[1].room(), "room-10");
    assert_eq!(events[world::RING].room(), format!("room-{}", world::RING + 9));
}

#[tokio::test]
async fn streams_are_bounded_and_a_place_is_free_again_when_one_ends() {
    let world = World::start().await;
    let tokens = ["cwk_of-a", "cwk_of-b", "cwk_of-c"];
    for token in tokens {
        world.add_project(token).await;
    }
    let mut open = Vec::new();
    for number in 0..EVENT_STREAMS_MAX {
        open.push(world.follow_as(tokens[number % 3], "", &[]).await);
    }
    assert!(open.iter().all(|stream| stream.status == 200));
    let one_more = world.follow("", &[]).await;
    assert_eq!(one_more.status, 429);
    assert!(one_more.head.contains("retry-after: "), "{}", one_more.head);
    assert_eq!(world.streams.open(), EVENT_STREAMS_MAX);
    open.pop();
    world.until(|world| world.streams.open() < EVENT_STREAMS_MAX).await;
    assert_eq!(world.follow("", &[]).await.status, 200);
}

#[tokio::test]
async fn one_project_leaves_the_others_room() {
    let world = World::start().await;
    world.add_project("cwk_of-a").await;
    let mut open = Vec::new();
    for _ in 0..EVENT_STREAMS_PER_PROJECT_MAX {
        open.push(world.follow_as("cwk_of-a", "", &[]).await);
    }
    assert!(open.iter().all(|stream| stream.status == 200));
    assert_eq!(world.follow_as("cwk_of-a", "", &[]).await.status, 429);
    assert_eq!(world.follow("", &[]).await.status, 200, "another project");
    open.pop();
    world.until(|world| world.streams.open() < EVENT_STREAMS_PER_PROJECT_MAX).await;
    assert_eq!(world.follow_as("cwk_of-a", "", &[]).await.status, 200);
}

#[tokio::test]
async fn a_stop_hands_out_what_is_there_and_ends_the_stream() {
    let world = World::start().await;
    let mut stream = world.follow("", &[]).await;
    world.open_room(1, "last");
    world.stop();
    assert_eq!(stream.events(1).await[0].room(), "last");
    assert!(stream.ends().await);
}

#[tokio::test]
async fn a_silent_stream_shows_that_it_lives_and_ends_when_its_token_is_revoked() {
    let world = World::with_heartbeat(Duration::from_millis(20)).await;
    let mut stream = world.follow("", &[]).await;
    stream.comment().await;
    world.revoke().await;
    assert!(stream.ends().await);
}

#[tokio::test]
async fn a_token_without_the_scope_read_is_refused() {
    let world = World::start().await;
    assert_eq!(world.follow_as(world::NARROW_TOKEN, "", &[]).await.status, 403);
    assert_eq!(world.follow_as("unknown", "", &[]).await.status, 401);
}
