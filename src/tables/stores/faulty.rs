//! A store that fails by chance: a request is lost, its answer is lost though it was done, or it takes its time.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{BoxStream, once};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::clock::Clock;

/// A slow answer takes this long at most.
const LATE_MS_MAX: u64 = 30;

/// What becomes of requests.
pub struct Chance {
    random: Mutex<StdRng>,
    /// Of a thousand requests so many fail or are late.
    permille: AtomicU32,
}

enum Fate {
    Done,
    Late(Duration),
    Lost,
    /// It is done, and the answer says that it failed.
    AnswerLost,
}

impl Chance {
    /// Nothing fails yet.
    pub fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self { random: Mutex::new(StdRng::seed_from_u64(seed)), permille: AtomicU32::new(0) })
    }

    /// From now on so many of a thousand requests fail or are late.
    pub fn set(&self, permille: u32) {
        self.permille.store(permille, Ordering::SeqCst);
    }

    fn fate(&self, location: &Path) -> Fate {
        let mut random = self.random.lock();
        // Commits are few, and what matters most.
        let weight = if location.as_ref().ends_with(".json") { 4 } else { 1 };
        if !random.random_ratio((self.permille.load(Ordering::SeqCst) * weight).min(900), 1000) {
            return Fate::Done;
        }
        match random.random_range(0..5) {
            0 => Fate::Late(Duration::from_millis(random.random_range(0..LATE_MS_MAX))),
            1 | 2 => Fate::Lost,
            _ => Fate::AnswerLost,
        }
    }

    async fn meet<T>(&self, location: &Path, request: impl Future<Output = Result<T>>) -> Result<T> {
        match self.fate(location) {
            Fate::Done => request.await,
            Fate::Late(time) => {
                Clock::Real.sleep(time).await;
                request.await
            }
            Fate::Lost => Err(failed()),
            Fate::AnswerLost => request.await.and(Err(failed())),
        }
    }
}

fn failed() -> Error {
    Error::Generic { store: "faulty", source: "connection reset".into() }
}

/// `inner`, as far as chance lets it.
#[derive(Clone)]
pub struct FaultyStore {
    inner: Arc<dyn ObjectStore>,
    chance: Arc<Chance>,
}

impl FaultyStore {
    pub fn new(inner: Arc<dyn ObjectStore>, chance: &Arc<Chance>) -> Self {
        Self { inner, chance: Arc::clone(chance) }
    }

    async fn read(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let mut found = self.chance.meet(location, self.inner.get_opts(location, options)).await?;
        if matches!(self.chance.fate(location), Fate::Lost) {
            // The connection breaks in the midst of the answer.
            found.payload = GetResultPayload::Stream(once(async { Err(failed()) }).boxed());
        }
        Ok(found)
    }

    fn listed(&self, found: BoxStream<'static, Result<ObjectMeta>>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.chance.fate(&Path::default()) {
            Fate::Lost => once(async { Err(failed()) }).boxed(),
            Fate::AnswerLost => found.take(2).chain(once(async { Err(failed()) })).boxed(),
            _ => found,
        }
    }
}

type Answer<'t, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 't>>;

impl ObjectStore for FaultyStore {
    fn put_opts<'a, 'l, 't>(
        &'a self,
        location: &'l Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Answer<'t, PutResult>
    where
        'a: 't,
        'l: 't,
        Self: 't,
    {
        Box::pin(self.chance.meet(location, self.inner.put_opts(location, payload, options)))
    }

    fn put_multipart_opts<'a, 'l, 't>(
        &'a self,
        location: &'l Path,
        options: PutMultipartOptions,
    ) -> Answer<'t, Box<dyn MultipartUpload>>
    where
        'a: 't,
        'l: 't,
        Self: 't,
    {
        Box::pin(self.chance.meet(location, self.inner.put_multipart_opts(location, options)))
    }

    fn get_opts<'a, 'l, 't>(&'a self, location: &'l Path, options: GetOptions) -> Answer<'t, GetResult>
    where
        'a: 't,
        'l: 't,
        Self: 't,
    {
        Box::pin(self.read(location, options))
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        let delete = move |location: Result<Path>| {
            let store = store.clone();
            async move {
                let location = location?;
                store.chance.meet(&location, store.inner.delete(&location)).await?;
                Ok(location)
            }
        };
        locations.then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listed(self.inner.list(prefix))
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listed(self.inner.list_with_offset(prefix, offset))
    }

    fn list_with_delimiter<'a, 'l, 't>(&'a self, prefix: Option<&'l Path>) -> Answer<'t, ListResult>
    where
        'a: 't,
        'l: 't,
        Self: 't,
    {
        Box::pin(self.inner.list_with_delimiter(prefix))
    }

    fn copy_opts<'a, 'f, 'l, 't>(&'a self, from: &'f Path, to: &'l Path, options: CopyOptions) -> Answer<'t, ()>
    where
        'a: 't,
        'f: 't,
        'l: 't,
        Self: 't,
    {
        Box::pin(self.chance.meet(to, self.inner.copy_opts(from, to, options)))
    }
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultyStore({})", self.inner)
    }
}

impl fmt::Debug for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
