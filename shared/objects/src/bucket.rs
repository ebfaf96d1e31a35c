//! Object storage that speaks S3.

use crate::storage::{ObjectStorage, OpenError};
use object_store::{ClientOptions, RetryConfig, aws::AmazonS3Builder};
use std::{fmt, sync::Arc, time::Duration};

/// The smallest part that S3 takes of a larger file, bytes; each upload holds one in memory.
const PART: usize = 5 * 1024 * 1024;
/// One request, a part's transfer included.
const REQUEST: Duration = Duration::from_secs(60);
const CONNECT: Duration = Duration::from_secs(10);
/// How long a request is tried again, and how often.
const RETRIED: Duration = Duration::from_secs(30);
const RETRIES: usize = 3;

/// Where the bucket is and who asks.
#[derive(Clone)]
pub struct Bucket {
    /// `https://host[:port]`, or `http://` of a private network. The bucket's name is put into the path.
    pub endpoint: String,
    /// Its name.
    pub name: String,
    /// Its region; many servers take any.
    pub region: String,
    /// The access key's id.
    pub access_key: String,
    /// The access key's secret.
    pub secret_key: String,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bucket(..)")
    }
}

impl ObjectStorage {
    /// The files of a bucket. Sends nothing yet.
    ///
    /// # Errors
    /// The endpoint is no URL.
    pub fn bucket(bucket: &Bucket) -> Result<Self, OpenError> {
        let is_plain = bucket.endpoint.starts_with("http://");
        if !is_plain && !bucket.endpoint.starts_with("https://") {
            return Err(OpenError::Endpoint);
        }
        let client = ClientOptions::new().with_timeout(REQUEST).with_connect_timeout(CONNECT).with_allow_http(is_plain);
        let retry = RetryConfig { max_retries: RETRIES, retry_timeout: RETRIED, ..RetryConfig::default() };
        let store = AmazonS3Builder::new()
            .with_client_options(client)
            .with_retry(retry)
            .with_endpoint(&bucket.endpoint)
            .with_bucket_name(&bucket.name)
            .with_region(&bucket.region)
            .with_access_key_id(&bucket.access_key)
            .with_secret_access_key(&bucket.secret_key)
            .build()
            .map_err(OpenError::Bucket)?;
        Ok(Self::new(Arc::new(store), PART))
    }
}
