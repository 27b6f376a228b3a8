//! COPY to a store that is slower than the query.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt;
use object_store::{MultipartUpload, PutPayload, PutResult, UploadPart, WriteMultipart};
use tokio::sync::Semaphore;

use super::*;
use crate::session::Login;
use crate::session::tests::server;

/// An upload that stores no part before it may.
#[derive(Clone, Debug)]
struct Slow {
    begun: Arc<AtomicUsize>,
    may: Arc<Semaphore>,
}

type Answer<'t, T> = Pin<Box<dyn Future<Output = object_store::Result<T>> + Send + 't>>;

impl MultipartUpload for Slow {
    fn put_part(&mut self, _: PutPayload) -> UploadPart {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let may = Arc::clone(&self.may);
        async move {
            may.acquire().await.expect("the gate is not closed").forget();
            Ok(())
        }
        .boxed()
    }

    fn complete<'a, 't>(&'a mut self) -> Answer<'t, PutResult>
    where
        'a: 't,
        Self: 't,
    {
        Box::pin(async { Ok(PutResult { e_tag: None, version: None }) })
    }

    fn abort<'a, 't>(&'a mut self) -> Answer<'t, ()>
    where
        'a: 't,
        Self: 't,
    {
        Box::pin(async { Ok(()) })
    }
}

#[tokio::test]
async fn a_slow_store_holds_the_query_up() {
    let folder = tempfile::tempdir().unwrap();
    let session = Session::open(&server(folder.path()).await, Login::embedded()).unwrap();
    // 48 MB, ten parts.
    let query = "COPY (SELECT repeat('x', 1000000) FROM generate_series(1, 48)) TO STDOUT";
    let Reply::CopyOut(CopyOut { rows, options }) = session.sql(query).await.unwrap() else { panic!("no rows") };
    let slow = Slow { begun: Arc::default(), may: Arc::new(Semaphore::new(0)) };
    let begun = || slow.begun.load(Ordering::SeqCst);
    let mut writer = WriteMultipart::new(Box::new(slow.clone()));
    let url = url::Url::parse("memory://slow/x").unwrap();
    let mut copied = Box::pin(session.encode_into(rows, &options, &url, &mut writer));
    let quiet = Duration::from_millis(500);
    while begun() < PARTS_WAITING_MAX {
        assert!(tokio::time::timeout(quiet, &mut copied).await.is_err(), "it does not wait");
    }
    assert!(tokio::time::timeout(quiet, &mut copied).await.is_err(), "it does not wait");
    assert_eq!(begun(), PARTS_WAITING_MAX, "all this waits in memory");
    slow.may.add_permits(100);
    assert_eq!(copied.await.unwrap(), 48);
    writer.finish().await.unwrap();
    assert_eq!(begun(), 10);
}
