//! A store that lets a test come before a PUT, or in its place.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result,
};

/// Stands in the way of every PUT to `inner`.
pub struct HookedStore {
    inner: Arc<dyn ObjectStore>,
    hook: Box<dyn Fn(Put) -> BoxFuture<'static, Result<PutResult>> + Send + Sync>,
}

/// A PUT that has not been done yet.
#[derive(Clone)]
pub struct Put {
    pub path: Path,
    store: Arc<dyn ObjectStore>,
    payload: PutPayload,
    options: PutOptions,
}

impl Put {
    /// Does it.
    pub async fn done(self) -> Result<PutResult> {
        self.store.put_opts(&self.path, self.payload, self.options).await
    }
}

impl HookedStore {
    pub fn new(
        inner: Arc<dyn ObjectStore>,
        hook: impl Fn(Put) -> BoxFuture<'static, Result<PutResult>> + Send + Sync + 'static,
    ) -> Self {
        Self { inner, hook: Box::new(hook) }
    }
}

type Answer<'t, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 't>>;

impl ObjectStore for HookedStore {
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
        (self.hook)(Put { path: location.clone(), store: Arc::clone(&self.inner), payload, options })
    }

    fn put_multipart_opts<'a, 'l, 't>(
        &'a self,
        location: &'l Path,
        opts: PutMultipartOptions,
    ) -> Answer<'t, Box<dyn MultipartUpload>>
    where
        'a: 't,
        'l: 't,
        Self: 't,
    {
        self.inner.put_multipart_opts(location, opts)
    }

    fn get_opts<'a, 'l, 't>(&'a self, location: &'l Path, options: GetOptions) -> Answer<'t, GetResult>
    where
        'a: 't,
        'l: 't,
        Self: 't,
    {
        self.inner.get_opts(location, options)
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_delimiter<'a, 'l, 't>(&'a self, prefix: Option<&'l Path>) -> Answer<'t, ListResult>
    where
        'a: 't,
        'l: 't,
        Self: 't,
    {
        self.inner.list_with_delimiter(prefix)
    }

    fn copy_opts<'a, 'f, 'l, 't>(&'a self, from: &'f Path, to: &'l Path, options: CopyOptions) -> Answer<'t, ()>
    where
        'a: 't,
        'f: 't,
        'l: 't,
        Self: 't,
    {
        self.inner.copy_opts(from, to, options)
    }
}

impl fmt::Display for HookedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HookedStore({})", self.inner)
    }
}

impl fmt::Debug for HookedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
