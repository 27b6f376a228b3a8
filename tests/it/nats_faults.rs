//! NATS as a source, where something breaks or is missing: streams that are removed, changed or too much, connections that are cut.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use async_nats::jetstream::stream::{Config, RetentionPolicy, Stream};

use crate::nats::{Broker, says, send, send_numbers, stream};
use crate::program::text_of;
use crate::server::Server;
use crate::sources::{arrives, number, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missing_from_a_stream_is_said() {
    let mut broker = Broker::start();
    let context = broker.connect().await;
    let server = Server::start();
    let client = server.connect().await;
    let create = format!("CREATE SOURCE t (id bigint, text text) WITH ({})", broker.options("t"));
    client.batch_execute(&create).await.unwrap();
    says(&client, "stream \"t\" does not exist").await;
    let made = stream(&context, "t").await;
    send_numbers(&context, "t.a", 0..10).await;
    arrives(&client, "SELECT count(*) FROM t", 10).await;

    // What was read may go, and single messages that were not.
    client.batch_execute("ALTER SOURCE t PAUSE").await.unwrap();
    made.purge().await.unwrap();
    send_numbers(&context, "t.a", 10..15).await;
    made.delete_message(13).await.unwrap();
    client.batch_execute("ALTER SOURCE t RESUME").await.unwrap();
    arrives(&client, "SELECT count(*) FROM t", 14).await;
    // What was not read may not.
    client.batch_execute("ALTER SOURCE t PAUSE").await.unwrap();
    send_numbers(&context, "t.a", 15..20).await;
    made.purge().sequence(18).await.unwrap();
    client.batch_execute("ALTER SOURCE t RESUME").await.unwrap();
    says(&client, "begins at sequence 18, but was read only up to 15: messages between were removed").await;
    assert_eq!(number(&client, "SELECT count(*) FROM t").await, 14);
    client.batch_execute("ALTER SOURCE t RESET TO OFFSET 0").await.unwrap();
    arrives(&client, "SELECT count(*) FROM t WHERE id >= 17", 3).await;

    // A stream that is made anew is another one, however far it goes.
    context.delete_stream("t").await.unwrap();
    says(&client, "stream \"t\" does not exist").await;
    stream(&context, "t").await;
    send_numbers(&context, "t.a", 100..150).await;
    says(&client, "was made anew").await;
    assert_eq!(number(&client, "SELECT count(*) FROM t WHERE id >= 100").await, 0);
    client.batch_execute("ALTER SOURCE t RESET TO OFFSET 0").await.unwrap();
    arrives(&client, "SELECT count(*) FROM t WHERE id >= 100", 50).await;

    // So is one that comes back as it was before: what follows would be taken for read.
    let copy = |from: &Path, to: &Path| text_of(Command::new("cp").arg("-a").arg(from).arg(to));
    let (streams, saved) = (broker.folder.path().join("streams"), broker.folder.path().join("saved"));
    broker.kill_and_restart(|_| drop(copy(&streams, &saved)));
    send_numbers(&broker.connect().await, "t.a", 150..160).await;
    arrives(&client, "SELECT count(*) FROM t WHERE id >= 150", 10).await;
    broker.kill_and_restart(|_| {
        std::fs::remove_dir_all(&streams).unwrap();
        copy(&saved, &streams);
    });
    says(&client, "ends at sequence 50, but was read up to 60").await;
    client.batch_execute("DROP SOURCE t").await.unwrap();

    // Who reads a stream that hands each message out once would take it from others, and lose it.
    let context = broker.connect().await;
    let queue = Config { name: "queue".to_owned(), retention: RetentionPolicy::WorkQueue, ..Config::default() };
    context.create_stream(queue).await.unwrap();
    client.batch_execute(&format!("CREATE SOURCE q (id int) WITH ({})", broker.options("queue"))).await.unwrap();
    says(&client, "removes messages when they are delivered").await;
}

/// While others than its own messages come, a source goes on in the stream: these may be removed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_a_filter_passes_by_may_be_removed() {
    let broker = Broker::start();
    let context = broker.connect().await;
    let made = stream(&context, "t").await;
    let server = Server::start();
    let client = server.connect().await;
    let create = format!("CREATE SOURCE t (id bigint, text text) WITH ({}, subject = 't.a')", broker.options("t"));
    client.batch_execute(&create).await.unwrap();
    send_numbers(&context, "t.a", 0..1).await;
    send_numbers(&context, "t.b", 0..100).await;
    send_numbers(&context, "t.a", 1..2).await;
    arrives(&client, "SELECT count(*) FROM t", 2).await;
    let batches = number(&client, "SELECT batches FROM system.sources").await;
    send_numbers(&context, "t.b", 100..200).await;
    arrives(&client, "SELECT batches FROM system.sources", batches + 1).await;
    client.batch_execute("ALTER SOURCE t PAUSE").await.unwrap();
    made.purge().await.unwrap();
    client.batch_execute("ALTER SOURCE t RESUME").await.unwrap();
    send_numbers(&context, "t.a", 2..3).await;
    arrives(&client, "SELECT count(*) FROM t", 3).await;
    assert_eq!(number(&client, "SELECT errors FROM system.sources").await, 0);
    assert_eq!(number(&client, "SELECT lag_rows FROM system.sources").await, 0);
}

/// What waits in a stream stays there: the server takes a few messages more than it stores.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_asks_for_no_more_than_it_can_hold() {
    const MESSAGES: i64 = 40_000;
    const BYTES: i64 = 1000;
    let broker = Broker::start();
    let context = broker.connect().await;
    let made = stream(&context, "t").await;
    let filler = "x".repeat(BYTES as usize);
    send(&context, (0..MESSAGES).map(|id| ("t.a".to_owned(), format!("{id},{filler}"), HeaderMap::new()))).await;
    let server = Server::start_with(&["--tail-bytes-max", "4MiB"]);
    let client = server.connect().await;
    let create = format!(
        "CREATE SOURCE t (id bigint, filler text) WITH ({}, batch_bytes = '256 kB') ENCODE CSV",
        broker.options("t")
    );
    client.batch_execute(&create).await.unwrap();
    let (start, mut was_full, mut stored) = (Instant::now(), false, 0);
    while stored < MESSAGES {
        stored = number(&client, "SELECT count(*) FROM t").await;
        let tails = number(&client, "SELECT coalesce(sum(tail_bytes), 0)::bigint FROM system.tables").await;
        assert!(tails < 4 << 20, "{tails} bytes wait");
        was_full |= text(&client, "SELECT state FROM system.sources").await.as_deref() == Some("full");
        let taken = delivered(&made).await;
        let now = number(&client, "SELECT count(*) FROM t").await;
        // A request is for 1 MiB and some, a batch has 256 kB.
        assert!((taken - now) * BYTES < 2 << 20, "{taken} were taken, {now} are stored");
        assert!(start.elapsed() < Duration::from_secs(60), "{stored} are stored");
    }
    assert!(was_full, "40 MB never filled 4 MiB");
    assert_eq!(number(&client, "SELECT errors FROM system.sources").await, 0);
    assert_eq!(number(&client, "SELECT count(DISTINCT id) FROM t").await, MESSAGES);
}

/// What is removed while a source waits for memory is missed, whether a message comes after it or not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_removed_while_it_is_read_is_said() {
    const MESSAGES: i64 = 20_000;
    let broker = Broker::start();
    let context = broker.connect().await;
    let server = Server::start_with(&["--tail-bytes-max", "2MiB"]);
    let client = server.connect().await;
    let filler = "x".repeat(1000);
    for (name, comes_more) in [("t", true), ("u", false)] {
        let made = stream(&context, name).await;
        let message = |id: i64| (format!("{name}.a"), format!("{id},{filler}"), HeaderMap::new());
        send(&context, (0..MESSAGES).map(message)).await;
        let options = format!("{}, batch_bytes = '64 kB'", broker.options(name));
        let create = format!("CREATE SOURCE {name} (id bigint, filler text) WITH ({options}) ENCODE CSV");
        client.batch_execute(&create).await.unwrap();
        arrives(&client, "SELECT count(*) FROM system.sources WHERE state = 'full'", 1).await;
        made.purge().await.unwrap();
        if comes_more {
            send(&context, [message(MESSAGES)]).await;
        }
        says(&client, &format!("begins at sequence {}, but was read only up to", MESSAGES + 1)).await;
        let held = number(&client, &format!("SELECT count(*) * 100000 + max(id) FROM {name}")).await;
        assert!(held % 100_000 + 1 == held / 100_000 && held / 100_000 < MESSAGES, "{held}");
        client.batch_execute(&format!("DROP SOURCE {name}")).await.unwrap();
    }
}

/// A way to the broker that breaks off after so many bytes, again and again.
async fn fragile(to: u16, bytes: u64) -> u16 {
    use tokio::io::{AsyncReadExt, copy};
    use tokio::net::{TcpListener, TcpStream};
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut limit = bytes;
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let broker = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
            limit = bytes + limit % 7919;
            tokio::spawn(async move {
                let ((mut from_client, mut to_client), (from_broker, mut to_broker)) =
                    (client.into_split(), broker.into_split());
                let mut limited = from_broker.take(limit);
                tokio::select! {
                    _ = copy(&mut from_client, &mut to_broker) => {}
                    _ = copy(&mut limited, &mut to_client) => {}
                }
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_break_lose_and_double_nothing() {
    const MESSAGES: i64 = 20_000;
    let broker = Broker::start();
    let context = broker.connect().await;
    stream(&context, "t").await;
    send_numbers(&context, "t.a", 0..MESSAGES).await;
    // About 150 bytes a message: thirty connections or so.
    let port = fragile(broker.port, 100_000).await;
    let server = Server::start();
    let client = server.connect().await;
    let options = broker.options("t").replace(&broker.port.to_string(), &port.to_string());
    let create =
        format!("CREATE SOURCE t (id bigint, text text) WITH ({options}, breaker_failures = 1000, batch_rows = 100)");
    client.batch_execute(&create).await.unwrap();
    arrives(&client, "SELECT count(*) FROM t", MESSAGES).await;
    assert_eq!(number(&client, "SELECT count(DISTINCT id) FROM t").await, MESSAGES);
    let errors = number(&client, "SELECT errors FROM system.sources").await;
    assert!(errors > 15, "only {errors} connections broke");
}

/// How far the consumers of a stream have come.
async fn delivered(stream: &Stream) -> i64 {
    use futures::TryStreamExt;
    let all: Vec<_> = stream.consumers().try_collect().await.unwrap();
    all.iter().map(|consumer| consumer.delivered.stream_sequence as i64).max().unwrap_or(0)
}
