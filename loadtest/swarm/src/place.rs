//! Where a Warren under load is.

use crate::simulator::Simulator;
use anyhow::Result;
use std::sync::{Arc, PoisonError, RwLock};
use warren_testkit::cluster::Cluster;
use warren_testkit::{Api, Stage};

/// A Warren and the simulator that it is connected to.
#[derive(Debug, Clone)]
pub struct Place {
    /// Where its API answers.
    pub endpoints: Endpoints,
    /// A tenant's key.
    pub key: String,
    /// The key of the operator.
    pub admin_key: String,
    /// The simulator.
    pub simulator: Simulator,
}

/// The gateways' addresses as a load balancer knows them: who is asked next when one does not answer. Cheap to clone; all clones
/// know the same.
#[derive(Debug, Clone, Default)]
pub struct Endpoints {
    urls: Arc<RwLock<Vec<Arc<str>>>>,
}

impl Endpoints {
    /// These, as `http://host:port`.
    #[must_use]
    pub fn new(urls: impl IntoIterator<Item = String>) -> Self {
        let endpoints = Self::default();
        endpoints.set(urls);
        endpoints
    }

    /// Names others.
    pub fn set(&self, urls: impl IntoIterator<Item = String>) {
        let urls = urls.into_iter().map(|url| Arc::from(url.trim_end_matches('/'))).collect();
        *self.urls.write().unwrap_or_else(PoisonError::into_inner) = urls;
    }

    /// The one at this place, counted in a circle; empty if there is none.
    #[must_use]
    pub fn at(&self, place: usize) -> Arc<str> {
        let urls = self.urls.read().unwrap_or_else(PoisonError::into_inner);
        urls.get(place % urls.len().max(1)).cloned().unwrap_or_default()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.urls.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Place {
    /// One Warren on a test's stage.
    ///
    /// # Errors
    /// A client cannot be made.
    pub fn of_stage(stage: &Stage) -> Result<Self> {
        Ok(Self {
            endpoints: Endpoints::new([stage.api.base().to_owned()]),
            key: stage.api.key().to_owned(),
            admin_key: stage.warren.admin()?.key().to_owned(),
            simulator: Simulator::new(stage.simulator.url())?,
        })
    }

    /// A cluster and the simulator at this URL.
    ///
    /// # Errors
    /// A client cannot be made.
    pub fn of_cluster(cluster: &Cluster, simulator: &str) -> Result<Self> {
        let keys = cluster.keys();
        Ok(Self {
            endpoints: Endpoints::new(addresses(cluster)),
            key: keys.tenant.clone(),
            admin_key: keys.admin.clone(),
            simulator: Simulator::new(simulator)?,
        })
    }

    /// The API at the first gateway, with the tenant's key.
    ///
    /// # Errors
    /// A client cannot be made.
    pub fn api(&self) -> Result<Api> {
        Api::new(&self.endpoints.at(0), &self.key)
    }

    /// Looks again where the gateways of a cluster are: one that was started again has another port.
    pub fn find_gateways(&self, cluster: &Cluster) {
        self.endpoints.set(addresses(cluster));
    }
}

fn addresses(cluster: &Cluster) -> Vec<String> {
    cluster.gateways.iter().filter_map(|gateway| gateway.api_address().ok().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_counted_in_a_circle() {
        let endpoints = Endpoints::new(["http://a".to_owned(), "http://b/".to_owned()]);
        let named: Vec<_> = (0..3).map(|place| endpoints.at(place).to_string()).collect();
        assert_eq!(named, ["http://a", "http://b", "http://a"]);
        endpoints.set([]);
        assert!(endpoints.is_empty() && endpoints.at(7).is_empty());
    }
}
