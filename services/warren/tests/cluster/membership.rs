//! Who is a member: a worker that comes back is another one.

use crate::binary;
use warren_raft::{Group, Status};
use warren_swarm::faults::{Admission, Needs, Scale, Scene};
use warren_testkit::{PATIENCE, eventually};

/// As the coordinators see it.
async fn status(scene: &Scene) -> Status {
    let environment = scene.cluster.environment();
    let setting = |wanted: &str| environment.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
    let secret = setting("WARREN_CLUSTER_SECRET").unwrap();
    let coordinators = setting("WARREN_CLUSTER__COORDINATORS").unwrap();
    let group = Group::new("warren", &secret, coordinators.split(',').map(str::to_owned).collect()).unwrap();
    eventually("the coordinators' view", PATIENCE, async || Ok(Some(warren_raft::status(&group).await?))).await.unwrap()
}

fn incarnation(status: &Status, name: &str) -> Option<u64> {
    status.workers.iter().find(|worker| worker.worker == name).map(|worker| worker.incarnation)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_comes_back_is_a_new_incarnation() {
    let scale = Scale { instances: 12, ..Scale::SHORT };
    let mut scene = Scene::prepare(binary(), &Needs::USUAL, scale, Admission::Benchmark).await.unwrap();
    let name = scene.cluster.workers.first().unwrap().name().to_owned();
    let before = incarnation(&status(&scene).await, &name).unwrap();
    // Before anybody could notice that it died.
    let worker = scene.cluster.workers.first_mut().unwrap();
    worker.kill().await.unwrap();
    worker.start_again(&[]).await.unwrap();
    let after = eventually("another incarnation", PATIENCE, async || {
        Ok(incarnation(&status(&scene).await, &name).filter(|now| *now != before))
    });
    after.await.unwrap();
    scene.whole().await.unwrap();
    let settled = status(&scene).await;
    assert_eq!(settled.workers.len(), 3, "{settled:?}");
    assert_eq!(settled.unassigned, 0);
}
