//! Object stores by URL: `file:`, `s3:`, in some builds `az:` and `gs:`, and (for tests) `memory:`.
//!
//! One store a scheme and host, made at first use and kept. Invariant: what a local store has acknowledged survives a
//! loss of power ([`durable`]); object stores in the network promise that by themselves.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use datafusion::common::DataFusionError;
use datafusion::execution::object_store::ObjectStoreRegistry;
use object_store::ObjectStore;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::memory::InMemory;
use object_store::path::Path;
use parking_lot::RwLock;
use tokio::sync::OwnedRwLockReadGuard;
use url::Url;

use crate::error::{Error, ErrorKind, Result};
use crate::tables::snapshot::Place;

mod durable;
#[cfg(test)]
pub mod faulty;
#[cfg(test)]
pub mod hooked;
mod store_error;

use durable::DurableStore;

/// Object stores by URL.
pub struct Stores {
    /// Options of object stores by URL, e.g. `endpoint`, `region`, `access_key_id`; the environment (`AWS_*`) comes first.
    options: BTreeMap<String, String>,
    open: RwLock<HashMap<String, Arc<dyn ObjectStore>>>,
    fsyncs: Arc<AtomicU64>,
    /// Held by what goes on behind statements, see [`Stores::settle`].
    working: Arc<tokio::sync::RwLock<()>>,
}

impl Stores {
    /// Stores with these S3 options over those of the environment. An unknown option is an error.
    pub fn new(options: BTreeMap<String, String>) -> Result<Self> {
        for key in options.keys() {
            s3_key(key)?;
        }
        Ok(Self { options, open: RwLock::default(), fsyncs: Arc::default(), working: Arc::default() })
    }

    /// The right to go on working behind a statement while it is held; `None` once the database closes.
    pub fn work(&self) -> Option<OwnedRwLockReadGuard<()>> {
        Arc::clone(&self.working).try_read_owned().ok()
    }

    /// Waits until nothing works behind statements any more, and lets nothing begin. Without this the end of the process cuts
    /// a checkpoint off, which its threads answer with a panic.
    pub async fn settle(&self) {
        let last = Arc::clone(&self.working).write_owned().await;
        // Nobody works here again.
        std::mem::forget(last);
    }

    /// The store of the URL's scheme and host. Its paths start there, not at the URL's path.
    pub fn get(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        let key = store_key(url);
        if let Some(store) = self.open.read().get(&key) {
            return Ok(Arc::clone(store));
        }
        let store = self.make(url)?;
        Ok(Arc::clone(self.open.write().entry(key).or_insert(store)))
    }

    /// Uses `store` for the URL's scheme and host from now on.
    pub fn put(&self, url: &Url, store: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        self.open.write().insert(store_key(url), store)
    }

    /// How many files and folders have been forced to stable storage.
    #[cfg(test)]
    pub fn fsyncs(&self) -> u64 {
        self.fsyncs.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// The folder of a table.
    pub(in crate::tables) fn place(&self, location: &Url) -> Result<Arc<Place>> {
        let mut location = location.clone();
        let path = location.path().trim_end_matches('/').to_owned();
        location.set_path(&path);
        let root = Path::from_url_path(location.path()).map_err(|error| {
            Error::new(ErrorKind::InvalidParameterValue, format!("location \"{location}\" is not a path"))
                .detail(error.to_string())
        })?;
        Ok(Arc::new(Place { store: self.get(&location)?, location, root }))
    }

    fn make(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        match url.scheme() {
            "file" => Ok(Arc::new(DurableStore::new(Arc::clone(&self.fsyncs)))),
            "memory" => Ok(Arc::new(InMemory::new())),
            "s3" | "s3a" => self.make_s3(url),
            #[cfg(feature = "azure")]
            "az" | "abfs" | "abfss" => make_azure(url),
            #[cfg(feature = "gcp")]
            "gs" => make_gcs(url),
            #[cfg(not(feature = "azure"))]
            "az" | "abfs" | "abfss" => Err(not_built(url)),
            #[cfg(not(feature = "gcp"))]
            "gs" => Err(not_built(url)),
            other => Err(Error::unsupported(format!("no object store for \"{other}:\" URLs"))
                .hint("Use a local path, or a URL that begins with file://, s3://, az:// or gs://.")),
        }
    }

    fn make_s3(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        let mut builder =
            AmazonS3Builder::from_env().with_url(url.as_str()).with_conditional_put(S3ConditionalPut::ETagMatch);
        for (key, value) in &self.options {
            builder = builder.with_config(s3_key(key)?, value);
        }
        let hint = "Set the options endpoint, region, access_key_id and secret_access_key, or AWS_* variables.";
        Ok(Arc::new(builder.build().map_err(|error| unopened(url, &error, hint))?))
    }
}

/// The container of Azure's blob storage: account and key are in the environment.
#[cfg(feature = "azure")]
fn make_azure(url: &Url) -> Result<Arc<dyn ObjectStore>> {
    let builder = object_store::azure::MicrosoftAzureBuilder::from_env().with_url(url.as_str());
    let hint = "Set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or other AZURE_* variables.";
    Ok(Arc::new(builder.build().map_err(|error| unopened(url, &error, hint))?))
}

/// The bucket of Google's cloud storage: the account is in the environment, or that of the machine.
#[cfg(feature = "gcp")]
fn make_gcs(url: &Url) -> Result<Arc<dyn ObjectStore>> {
    let builder = object_store::gcp::GoogleCloudStorageBuilder::from_env().with_url(url.as_str());
    let hint =
        "Set GOOGLE_SERVICE_ACCOUNT to the path of the account's file, or GOOGLE_SERVICE_ACCOUNT_KEY to what it says.";
    Ok(Arc::new(builder.build().map_err(|error| unopened(url, &error, hint))?))
}

#[cfg(not(all(feature = "azure", feature = "gcp")))]
fn not_built(url: &Url) -> Error {
    Error::unsupported(format!("\"{}:\" URLs are not in this build of the server", url.scheme()))
        .hint("Build it with `--features full`.")
}

fn unopened(url: &Url, error: &object_store::Error, hint: &str) -> Error {
    Error::new(ErrorKind::InvalidParameterValue, format!("cannot open the bucket of \"{url}\""))
        .detail(error.to_string())
        .hint(hint)
}

/// DataFusion looks up the stores of its scans here.
impl ObjectStoreRegistry for Stores {
    fn register_store(&self, url: &Url, store: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        self.put(url, store)
    }

    fn get_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>, DataFusionError> {
        self.get(url).map_err(DataFusionError::from)
    }
}

impl fmt::Debug for Stores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Options hold secrets: only what is open is shown.
        f.debug_set().entries(self.open.read().keys()).finish()
    }
}

fn store_key(url: &Url) -> String {
    match url.port() {
        Some(port) => format!("{}://{}:{port}", url.scheme(), url.host_str().unwrap_or_default()),
        None => format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default()),
    }
}

fn s3_key(name: &str) -> Result<AmazonS3ConfigKey> {
    AmazonS3ConfigKey::from_str(&name.to_ascii_lowercase()).map_err(|_| {
        Error::new(ErrorKind::InvalidParameterValue, format!("unknown object store option \"{name}\"")).hint(
            "Known options: endpoint, region, access_key_id, secret_access_key, session_token, allow_http, \
             virtual_hosted_style_request, skip_signature.",
        )
    })
}

#[cfg(test)]
mod tests;
