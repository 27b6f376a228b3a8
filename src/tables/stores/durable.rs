//! The local file system as an object store whose acknowledgements survive a loss of power.
//!
//! object_store's own never calls fsync. Here a small object is written to a staging file, forced to disk and only then
//! linked into place; after that its folder is forced, and every folder that was made for it. An upload in parts is
//! forced before `complete` returns. Readers and writers beside us see the same names as object_store's.

use std::collections::HashSet;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path as FilePath, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error as StoreError, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, UploadPart,
};
use parking_lot::Mutex;

/// The local file system, durable.
#[derive(Clone, Debug)]
pub struct DurableStore {
    inner: Arc<LocalFileSystem>,
    folders: Arc<Folders>,
}

/// Which folders are known to be on disk, and how often anything was forced there.
#[derive(Debug)]
struct Folders {
    forced: Mutex<HashSet<PathBuf>>,
    fsyncs: Arc<AtomicU64>,
}

impl DurableStore {
    /// The whole file system; each fsync adds one to `fsyncs`.
    pub fn new(fsyncs: Arc<AtomicU64>) -> Self {
        Self {
            inner: Arc::new(LocalFileSystem::new()),
            folders: Arc::new(Folders { forced: Mutex::default(), fsyncs }),
        }
    }

    fn put_durably(&self, location: Path, payload: PutPayload, opts: PutOptions) -> BoxFuture<'_, Result<PutResult>> {
        Box::pin(async move {
            if matches!(opts.mode, PutMode::Update(_)) || !opts.attributes.is_empty() {
                return self.inner.put_opts(&location, payload, opts).await;
            }
            let path = self.inner.path_to_filesystem(&location)?;
            let folders = Arc::clone(&self.folders);
            on_disk(move || folders.write(&path, &payload, matches!(opts.mode, PutMode::Create))).await?;
            Ok(PutResult { e_tag: None, version: None })
        })
    }

    fn start_upload(
        &self,
        location: Path,
        opts: PutMultipartOptions,
    ) -> BoxFuture<'_, Result<Box<dyn MultipartUpload>>> {
        Box::pin(async move {
            let path = self.inner.path_to_filesystem(&location)?;
            let inner = self.inner.put_multipart_opts(&location, opts).await?;
            let folders = Arc::clone(&self.folders);
            Ok(Box::new(DurableUpload { inner, path, folders }) as Box<dyn MultipartUpload>)
        })
    }

    async fn force(&self, location: &Path) -> Result<()> {
        let path = self.inner.path_to_filesystem(location)?;
        let folders = Arc::clone(&self.folders);
        on_disk(move || folders.force_file(&path).map_err(|error| generic(&path, error))).await
    }
}

impl Folders {
    fn write(&self, path: &FilePath, payload: &PutPayload, create: bool) -> Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| generic(folder, error))?;
        }
        let staging = staging_path(path);
        let placed = self.stage(&staging, payload).and_then(|()| match create {
            true => std::fs::hard_link(&staging, path),
            false => std::fs::rename(&staging, path),
        });
        if create || placed.is_err() {
            // What stays behind after a failure here is a staging file, which listings skip.
            let _ = std::fs::remove_file(&staging);
        }
        placed.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => {
                StoreError::AlreadyExists { path: path.display().to_string(), source: error.into() }
            }
            _ => generic(path, error),
        })?;
        self.force_folders_of(path).map_err(|error| generic(path, error))
    }

    fn stage(&self, staging: &FilePath, payload: &PutPayload) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).open(staging)?;
        payload.iter().try_for_each(|part| file.write_all(part))?;
        self.fsync(&file)
    }

    fn force_file(&self, path: &FilePath) -> io::Result<()> {
        self.fsync(&File::open(path)?)?;
        self.force_folders_of(path)
    }

    /// Forces the folder of `path`, and as long as a folder is new to this process the one above it: that holds its name.
    fn force_folders_of(&self, path: &FilePath) -> io::Result<()> {
        let mut new = Vec::new();
        for (steps, folder) in path.ancestors().skip(1).enumerate() {
            let known = self.forced.lock().contains(folder);
            match File::open(folder).and_then(|file| self.fsync(&file)) {
                // A folder above ours that we may not open was there before us.
                Err(error) if steps > 1 && error.kind() == io::ErrorKind::PermissionDenied => break,
                done => done?,
            }
            if known {
                break;
            }
            new.push(folder.to_owned());
        }
        // Not before: another thread that finds a folder here relies on all that are above it.
        self.forced.lock().extend(new);
        Ok(())
    }

    fn fsync(&self, file: &File) -> io::Result<()> {
        file.sync_all()?;
        self.fsyncs.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// `#` and digits at the end: object_store takes it for one of its own staging files and does not list it.
fn staging_path(path: &FilePath) -> PathBuf {
    let mut staging = path.as_os_str().to_owned();
    staging.push(format!("#{}", rand::random::<u64>()));
    staging.into()
}

fn generic(path: &FilePath, error: io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::NotFound => StoreError::NotFound { path: path.display().to_string(), source: error.into() },
        io::ErrorKind::PermissionDenied => {
            StoreError::PermissionDenied { path: path.display().to_string(), source: error.into() }
        }
        _ => StoreError::Generic { store: "local file system", source: error.into() },
    }
}

async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await?
}

/// An upload in parts whose `complete` means: on disk.
#[derive(Debug)]
struct DurableUpload {
    inner: Box<dyn MultipartUpload>,
    path: PathBuf,
    folders: Arc<Folders>,
}

impl MultipartUpload for DurableUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.inner.put_part(data)
    }

    fn complete<'a, 't>(&'a mut self) -> Pin<Box<dyn Future<Output = Result<PutResult>> + Send + 't>>
    where
        'a: 't,
        Self: 't,
    {
        Box::pin(async move {
            let result = self.inner.complete().await?;
            let (path, folders) = (self.path.clone(), Arc::clone(&self.folders));
            on_disk(move || folders.force_file(&path).map_err(|error| generic(&path, error))).await?;
            Ok(result)
        })
    }

    fn abort<'a, 't>(&'a mut self) -> Pin<Box<dyn Future<Output = Result<()>> + Send + 't>>
    where
        'a: 't,
        Self: 't,
    {
        self.inner.abort()
    }
}

impl ObjectStore for DurableStore {
    fn put_opts<'a, 'l, 't>(
        &'a self,
        location: &'l Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Pin<Box<dyn Future<Output = Result<PutResult>> + Send + 't>>
    where
        'a: 't,
        'l: 't,
        Self: 't,
    {
        self.put_durably(location.clone(), payload, opts)
    }

    fn put_multipart_opts<'a, 'l, 't>(
        &'a self,
        location: &'l Path,
        opts: PutMultipartOptions,
    ) -> Pin<Box<dyn Future<Output = Result<Box<dyn MultipartUpload>>> + Send + 't>>
    where
        'a: 't,
        'l: 't,
        Self: 't,
    {
        self.start_upload(location.clone(), opts)
    }

    fn get_opts<'a, 'l, 't>(
        &'a self,
        location: &'l Path,
        options: GetOptions,
    ) -> Pin<Box<dyn Future<Output = Result<GetResult>> + Send + 't>>
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

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    fn list_with_delimiter<'a, 'l, 't>(
        &'a self,
        prefix: Option<&'l Path>,
    ) -> Pin<Box<dyn Future<Output = Result<ListResult>> + Send + 't>>
    where
        'a: 't,
        'l: 't,
        Self: 't,
    {
        self.inner.list_with_delimiter(prefix)
    }

    fn copy_opts<'a, 'f, 'l, 't>(
        &'a self,
        from: &'f Path,
        to: &'l Path,
        options: CopyOptions,
    ) -> Pin<Box<dyn Future<Output = Result<()>> + Send + 't>>
    where
        'a: 't,
        'f: 't,
        'l: 't,
        Self: 't,
    {
        Box::pin(async move {
            self.inner.copy_opts(from, to, options).await?;
            self.force(to).await
        })
    }

    fn rename_opts<'a, 'f, 'l, 't>(
        &'a self,
        from: &'f Path,
        to: &'l Path,
        options: RenameOptions,
    ) -> Pin<Box<dyn Future<Output = Result<()>> + Send + 't>>
    where
        'a: 't,
        'f: 't,
        'l: 't,
        Self: 't,
    {
        Box::pin(async move {
            self.inner.rename_opts(from, to, options).await?;
            self.force(to).await
        })
    }
}

impl fmt::Display for DurableStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DurableStore({})", self.inner)
    }
}
