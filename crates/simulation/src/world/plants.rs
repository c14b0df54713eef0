//! The planted bug of a seed. Without the feature `plants` nothing is between a process and its
//! cluster.

use std::sync::Arc;

use cql_session::CqlCluster;
use object_store::ObjectStore;

use simulated_cluster::session::SimulatedSession;

/// Which bug is planted, if one is.
#[derive(Clone, Copy)]
pub(crate) struct SeedPlant {
    #[cfg(any(test, feature = "plants"))]
    bug: Option<&'static crate::plants::PlantedBug>,
}

impl SeedPlant {
    /// The bug of this name.
    #[cfg(any(test, feature = "plants"))]
    pub(crate) fn of(name: Option<&str>) -> SeedPlant {
        SeedPlant { bug: name.and_then(crate::plants::of) }
    }

    /// There is none, whatever its name.
    #[cfg(not(any(test, feature = "plants")))]
    pub(crate) fn of(_name: Option<&str>) -> SeedPlant {
        SeedPlant {}
    }

    /// The cluster as a process sees it.
    pub(crate) fn over(self, session: Arc<SimulatedSession>) -> Arc<dyn CqlCluster> {
        #[cfg(any(test, feature = "plants"))]
        if let Some(bug) = self.bug {
            return bug.over(session);
        }
        session
    }

    /// The object store as a process sees it.
    pub(crate) fn over_bucket(self, store: Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore> {
        #[cfg(any(test, feature = "plants"))]
        if let Some(bug) = self.bug {
            return bug.over_bucket(store);
        }
        store
    }
}
