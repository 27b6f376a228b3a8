//! The log against crashes: torn ends, flipped bits, missing segments, many writers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray};
use tempfile::TempDir;

use super::{
    Durability, Effect, EventFact, Frame, KeyFact, Log, LogOptions, Logged, Lsn, News, Note, Opened, RowFormat,
};
use crate::catalog::name::Oid;
use crate::error::{ErrorKind, Result};

const TABLE: Oid = Oid(20_000);

/// What a log holds: for each change the tables and the numbers of their rows.
type Content = BTreeMap<i64, Vec<(Oid, Vec<i64>)>>;

fn rows(numbers: &[i64]) -> RecordBatch {
    let texts: StringViewArray =
        numbers.iter().map(|number| Some(format!("the text of row number {number}"))).collect();
    let columns: [(&str, ArrayRef); 2] =
        [("id", Arc::new(Int64Array::from(numbers.to_vec()))), ("text", Arc::new(texts))];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn frame(parts: &[(Oid, &[i64])]) -> Frame {
    let mut frame = Frame::default();
    for (table, numbers) in parts {
        let batch = rows(numbers);
        frame.push(*table, Effect::Insert, &RowFormat::new(batch.schema()).unwrap(), &batch).unwrap();
    }
    frame
}

fn read(folder: &Path, options: &LogOptions) -> Result<(Content, Opened)> {
    let mut content = Content::new();
    let opened = Log::<()>::open(folder, options.clone(), &mut |logged| {
        let Logged::Rows(logged) = logged else { panic!("nobody wrote notes") };
        let (lsn, table) = (logged.lsn.0, logged.table);
        let batch = logged.decode()?;
        let ids = batch.column(0).as_any().downcast_ref::<Int64Array>().unwrap().values().to_vec();
        assert_eq!(batch, rows(&ids));
        content.entry(lsn).or_default().push((table, ids));
        Ok(())
    })?;
    Ok((content, opened))
}

/// A log whose news come through a channel.
fn start<T: Send + 'static>(opened: Opened) -> (Log<T>, mpsc::Receiver<News<T>>) {
    let (sender, news) = mpsc::channel();
    (opened.start(Lsn::ZERO, move |heard| drop(sender.send(heard))).unwrap(), news)
}

/// Writes changes one by one, each durable before the next, and gives what the log holds then.
fn write_one_by_one(folder: &Path, options: &LogOptions, changes: &[Vec<i64>]) -> Content {
    let (mut content, opened) = read(folder, options).unwrap();
    let (log, news) = start(opened);
    for numbers in changes {
        log.submit(frame(&[(TABLE, numbers)]), Durability::Synced, numbers.clone()).unwrap();
        let Ok(News::Landed(landed)) = news.recv() else { panic!("the change was not written") };
        for (lsn, numbers) in landed {
            content.insert(lsn.0, vec![(TABLE, numbers)]);
        }
    }
    log.close();
    content
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    super::segment::list(folder).unwrap()
}

/// A copy of a log's folder, to do harm to.
fn copy(folder: &Path) -> TempDir {
    let copied = tempfile::tempdir().unwrap();
    for path in segments(folder) {
        std::fs::copy(&path, copied.path().join(path.file_name().unwrap())).unwrap();
    }
    copied
}

#[test]
fn what_many_writers_have_logged_is_read_back_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let options = LogOptions { segment_bytes: 20_000, group_bytes_max: 3_000, ..LogOptions::default() };
    let (content, opened) = read(folder.path(), &options).unwrap();
    assert!(content.is_empty());
    let (log, news) = start(opened);
    std::thread::scope(|scope| {
        for writer in 0..4_i64 {
            let log = &log;
            scope.spawn(move || {
                for change in 0..100 {
                    let id = writer * 1_000 + change;
                    let durability = if change % 3 == 0 { Durability::Written } else { Durability::Synced };
                    log.submit(frame(&[(TABLE, &[id]), (Oid(7), &[-id, 0])]), durability, id).unwrap();
                }
            });
        }
    });
    log.close();
    assert!(log.submit(frame(&[]), Durability::Synced, 0).is_err(), "a closed log takes nothing");
    let mut expected = Content::new();
    for heard in news.try_iter() {
        let News::Landed(landed) = heard else { panic!("a change was not written") };
        for (lsn, id) in landed {
            assert_eq!(lsn.0, expected.len() as i64 + 1, "numbers come in order");
            expected.insert(lsn.0, vec![(TABLE, vec![id]), (Oid(7), vec![-id, 0])]);
        }
    }
    assert_eq!(expected.len(), 400);
    assert!(segments(folder.path()).len() > 3, "segments are ended");
    let (content, opened) = read(folder.path(), &options).unwrap();
    assert_eq!(content, expected);
    assert_eq!(opened.last(), Lsn(400));
}

#[test]
fn numbers_go_on_after_a_restart_and_after_what_tables_hold() {
    let folder = tempfile::tempdir().unwrap();
    let options = LogOptions::default();
    write_one_by_one(folder.path(), &options, &[vec![1], vec![2]]);
    assert_eq!(write_one_by_one(folder.path(), &options, &[]).len(), 2);
    let content = write_one_by_one(folder.path(), &options, &[vec![3]]);
    assert_eq!(content.keys().copied().collect::<Vec<_>>(), [1, 2, 3]);
    let (_, opened) = read(folder.path(), &options).unwrap();
    let log: Log<()> = opened.start(Lsn(10), |_| {}).unwrap();
    assert_eq!(log.status().last, Lsn(10));
    log.close();
    // The empty segment alone remembers what is used.
    let content = write_one_by_one(folder.path(), &options, &[vec![4]]);
    assert_eq!(content.keys().copied().collect::<Vec<_>>(), [1, 2, 3, 11]);
    assert_eq!(read(folder.path(), &options).unwrap().0, content);
}

#[test]
fn an_end_torn_at_any_byte_is_cut_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let options = LogOptions::default();
    let expected = write_one_by_one(folder.path(), &options, &[vec![1, 2], vec![3], vec![4, 5, 6]]);
    let whole = std::fs::read(&segments(folder.path())[0]).unwrap();
    for length in 0..whole.len() {
        let torn = copy(folder.path());
        std::fs::write(&segments(torn.path())[0], &whole[..length]).unwrap();
        let (content, opened) = read(torn.path(), &options).unwrap();
        let kept = content.len();
        assert!(content.iter().eq(expected.iter().take(kept)), "cut at {length}");
        assert_eq!(opened.last(), Lsn(kept as i64));
        drop(opened);
        let after = write_one_by_one(torn.path(), &options, &[vec![9]]);
        assert_eq!(after.len(), kept + 1);
        assert_eq!(read(torn.path(), &options).unwrap().0, after, "cut at {length}, and written to");
    }
}

#[test]
fn a_flipped_bit_is_noticed_wherever_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let options = LogOptions::default();
    let expected = write_one_by_one(folder.path(), &options, &[vec![1], vec![2], vec![3]]);
    let path = &segments(folder.path())[0];
    let whole = std::fs::read(path).unwrap();
    let (mut refused, mut cut) = (0, 0);
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        let harmed = copy(folder.path());
        std::fs::write(&segments(harmed.path())[0], &flipped).unwrap();
        match read(harmed.path(), &options) {
            Ok((content, _)) => {
                // Only of the last change nobody can know whether it was acknowledged.
                assert!(content.iter().eq(expected.iter().take(2)), "bit {} of byte {at}", at % 8);
                cut += 1;
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::DataCorrupted, "{error}");
                assert_eq!(std::fs::read(&segments(harmed.path())[0]).unwrap(), flipped, "nothing is changed");
                refused += 1;
            }
        }
    }
    assert!(refused > cut && cut > 0, "{refused} refused, {cut} cut");
}

#[test]
fn a_torn_group_is_cut_though_its_later_changes_are_whole() {
    let folder = tempfile::tempdir().unwrap();
    let options = LogOptions::default();
    let (_, opened) = read(folder.path(), &options).unwrap();
    let (log, news) = start(opened);
    // Nobody waits for any of them, so none was acknowledged as durable when the next was written.
    for id in 1..=3 {
        log.submit(frame(&[(TABLE, &[id])]), Durability::Written, ()).unwrap();
        news.recv().unwrap();
    }
    log.close();
    let path = &segments(folder.path())[0];
    let mut torn = std::fs::read(path).unwrap();
    let second = torn.windows(18).position(|bytes| bytes == b"text of row number").unwrap();
    torn[second] ^= 1;
    std::fs::write(path, &torn).unwrap();
    let (content, opened) = read(folder.path(), &options).unwrap();
    assert!(content.is_empty());
    assert_eq!(opened.last(), Lsn::ZERO);
}

#[test]
fn segments_are_deleted_once_released_and_a_missing_one_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let options = LogOptions { segment_bytes: 1, ..LogOptions::default() };
    let changes: Vec<Vec<i64>> = (1..=5).map(|id| vec![id]).collect();
    let expected = write_one_by_one(folder.path(), &options, &changes);
    assert_eq!(segments(folder.path()).len(), 5);
    let holed = copy(folder.path());
    std::fs::remove_file(&segments(holed.path())[2]).unwrap();
    assert_eq!(read(holed.path(), &options).err().unwrap().kind(), ErrorKind::DataCorrupted);
    let (_, opened) = read(folder.path(), &options).unwrap();
    let (log, _news) = start::<()>(opened);
    let before = log.status();
    assert_eq!(log.release(Lsn(3)).unwrap(), 3);
    assert_eq!(log.release(Lsn(3)).unwrap(), 0);
    let after = log.status();
    assert!(after.bytes < before.bytes && after.segments == before.segments - 3, "{before:?} {after:?}");
    log.close();
    let (content, opened) = read(folder.path(), &options).unwrap();
    assert!(content.iter().eq(expected.iter().skip(3)));
    assert_eq!(opened.last(), Lsn(5));
    let (log, _news) = start::<()>(opened);
    log.release(Lsn(5)).unwrap();
    log.close();
    assert_eq!(read(folder.path(), &options).unwrap().1.last(), Lsn(5), "the number outlives the changes");
}

#[test]
fn a_log_that_cannot_be_written_says_so_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let options = LogOptions { segment_bytes: 1, ..LogOptions::default() };
    let (_, opened) = read(folder.path(), &options).unwrap();
    let (log, news) = start(opened);
    let submit = |id: i64| {
        log.submit(frame(&[(TABLE, &[id])]), Durability::Synced, id).unwrap();
        news.recv().unwrap()
    };
    assert!(matches!(submit(1), News::Landed(_)));
    // The next change needs a new segment, whose name a folder takes.
    let obstacle = folder.path().join(format!("{:020}.log", 2));
    std::fs::create_dir(&obstacle).unwrap();
    let News::Failed(error, ids) = submit(2) else { panic!("the change cannot have been written") };
    assert_eq!(ids, [2], "{error}");
    std::fs::remove_dir(&obstacle).unwrap();
    let News::Landed(landed) = submit(3) else { panic!("the log did not recover") };
    assert_eq!(landed, [(Lsn(2), 3)]);
    log.close();
    let (content, _) = read(folder.path(), &options).unwrap();
    assert_eq!(content.values().cloned().collect::<Vec<_>>(), [vec![(TABLE, vec![1])], vec![(TABLE, vec![3])]]);
}

#[test]
fn notes_come_back_with_their_change() {
    let folder = tempfile::tempdir().unwrap();
    let fact = KeyFact { lsn: Some(Lsn(7)), at_ms: -1, rows: i64::MAX, refused: 3 };
    let event = EventFact { micros: Some(-1), late_rows: 2, future_rows: i64::MAX };
    let notes = [
        Note::Position { table: TABLE, name: "headwater/source/größe/0".to_owned(), value: i64::MIN, said_by: None },
        Note::Key { table: TABLE, key: String::new(), fact },
        Note::Key { table: Oid(1), key: "x".repeat(1001), fact },
        Note::EventTime { table: TABLE, name: "w/http".to_owned(), fact: EventFact::default(), is_repeated: true },
        Note::EventTime { table: TABLE, name: "w".to_owned(), fact: event, is_repeated: false },
    ];
    let (_, opened) = read(folder.path(), &LogOptions::default()).unwrap();
    let (log, news) = start(opened);
    let mut frame = frame(&[(TABLE, &[1, 2])]);
    notes.iter().for_each(|note| frame.note(note));
    log.submit(frame, Durability::Synced, ()).unwrap();
    assert!(matches!(news.recv(), Ok(News::Landed(_))));
    log.close();
    let mut found = Vec::new();
    let visit = &mut |logged: Logged<'_>| {
        if let Logged::Note(lsn, note) = logged {
            assert_eq!(lsn, Lsn(1));
            found.push(note);
        }
        Ok(())
    };
    Log::<()>::open(folder.path(), LogOptions::default(), visit).unwrap();
    assert_eq!(found, notes);
}
