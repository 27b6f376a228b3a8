//! What each kind of consumer may hold.

use std::sync::Arc;

use super::*;

fn consumer(pool: &Arc<dyn MemoryPool>, name: &str, spills: bool) -> MemoryReservation {
    MemoryConsumer::new(name).with_can_spill(spills).register(pool)
}

#[test]
fn those_that_spill_leave_room_for_merging_and_for_others() {
    let pool: Arc<dyn MemoryPool> = Arc::new(SharedMemory::new(1000));
    let sorts = [consumer(&pool, "ExternalSorter[0]", true), consumer(&pool, "ExternalSorter[1]", true)];
    let merges = [consumer(&pool, "ExternalSorterMerge[0]", false), consumer(&pool, "ExternalSorterMerge[1]", false)];
    let join = consumer(&pool, "HashJoinInput", false);
    for (one, share) in sorts.iter().chain(&merges).zip([150, 150, 300, 300]) {
        one.try_grow(share).unwrap();
        assert!(one.try_grow(1).is_err(), "{}", one.consumer().name());
    }
    join.try_grow(100).unwrap();
    assert!(join.try_grow(1).is_err());
    assert_eq!(pool.reserved(), 1000);
    sorts[0].free();
    join.try_grow(150).unwrap();
    assert!(sorts[0].try_grow(1).is_err());
}

#[test]
fn who_is_alone_may_have_the_whole_share_of_its_kind() {
    let pool: Arc<dyn MemoryPool> = Arc::new(SharedMemory::new(1000));
    let (one, two) = (consumer(&pool, "a", true), consumer(&pool, "b", true));
    assert!(one.try_grow(151).is_err());
    drop(two);
    one.try_grow(300).unwrap();
    let other = one.new_empty();
    assert!(other.try_grow(1).is_err(), "reservations of one consumer count together");
    drop((one, other));
    assert_eq!(pool.reserved(), 0);
    consumer(&pool, "join", false).try_grow(1000).unwrap();
}

#[test]
fn exchanges_are_refused_early_for_they_can_write_to_disk() {
    let pool: Arc<dyn MemoryPool> = Arc::new(SharedMemory::new(1000));
    let one = consumer(&pool, "RepartitionExec[0]", true);
    one.try_grow(100).unwrap();
    assert!(one.try_grow(1).is_err());
    consumer(&pool, "ExternalSorter[0]", true).try_grow(300).unwrap();
}
