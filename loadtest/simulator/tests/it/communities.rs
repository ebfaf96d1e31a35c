//! Communities: founded, groups tied to them and untied, joined through them; and the pictures of groups.
use crate::support::{paired, simulator};
use warren_simulator::Options;
use whatsapp_rust::features::{CreateCommunityOptions, GroupCreateOptions};
use whatsapp_rust::wacore::types::events::Event;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_of_groups_is_joined_through_its_parent() {
    let simulator = simulator(Options::default()).await;
    let (alice, _) = paired(&simulator, "?phone=6281100000001&name=Alice").await;
    let (bob, _) = paired(&simulator, "?phone=6281100000002&name=Bob").await;
    let to_bob = bob.client.pn().unwrap().to_non_ad();
    let founded = alice.client.community().create(CreateCommunityOptions::new("Street")).await.unwrap();
    let street = founded.metadata.id.clone();
    let groups = alice.client.community().get_subgroups(&street).await.unwrap();
    assert!(groups.iter().any(|group| group.is_default_sub_group) && groups.iter().any(|group| group.is_general_chat));
    let announcements = groups.iter().find(|group| group.is_default_sub_group).unwrap().id.clone();

    let group = alice.client.groups().create_group(GroupCreateOptions::new("Garden")).await.unwrap();
    let garden = group.metadata.id.clone();
    // Only who is in the community sees its groups.
    assert!(bob.client.community().query_linked_group(&street, &garden).await.is_err());
    let linked = alice.client.community().link_subgroups(&street, std::slice::from_ref(&garden)).await.unwrap();
    assert_eq!(linked.linked_jids, std::slice::from_ref(&garden));
    let again = alice.client.community().link_subgroups(&street, std::slice::from_ref(&garden)).await.unwrap();
    assert_eq!(again.failed_groups, [(garden.clone(), 409)]);

    alice.client.groups().add_participants(&street, std::slice::from_ref(&to_bob)).await.unwrap();
    let heard = bob.client.groups().get_metadata(&announcements).await.unwrap();
    assert!(
        heard.is_announcement && heard.parent_group_jid.as_ref() == Some(&street),
        "who is in it hears its announcements"
    );
    let joined = bob.client.community().join_subgroup(&street, &garden).await.unwrap();
    assert_eq!(joined.participants.len(), 2);
    bob.send(&garden.to_string(), "dug").await;
    alice.wait_text("dug").await;
    let counts = alice.client.community().get_subgroup_participant_counts(&street).await.unwrap();
    assert!(counts.contains(&(garden.clone(), 2)), "{counts:?}");

    let refused = bob.client.community().unlink_subgroups(&street, std::slice::from_ref(&garden), false).await;
    assert!(refused.is_err(), "a member unties nothing");
    alice.client.community().deactivate(&street).await.unwrap();
    assert!(alice.client.groups().get_metadata(&street).await.is_err());
    assert!(alice.client.groups().get_metadata(&announcements).await.is_err());
    let left = bob.client.groups().get_metadata(&garden).await.unwrap();
    assert_eq!(left.parent_group_jid, None, "its groups go on by themselves");
    alice.stop().await;
    bob.stop().await;
    simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_has_a_picture_for_its_members() {
    let simulator = simulator(Options::default()).await;
    let (alice, _) = paired(&simulator, "?phone=6281100000001&name=Alice").await;
    let (bob, _) = paired(&simulator, "?phone=6281100000002&name=Bob").await;
    let to_bob = bob.client.pn().unwrap().to_non_ad();
    let made = alice.client.groups().create_group(GroupCreateOptions::new("Boats")).await.unwrap();
    let boats = made.metadata.id.clone();
    let set = alice.client.groups().set_profile_picture(&boats, b"JPEG".to_vec()).await.unwrap();
    assert!(bob.client.contacts().get_profile_picture(&boats, false).await.unwrap().is_none(), "he is not in it");
    alice.client.groups().add_participants(&boats, std::slice::from_ref(&to_bob)).await.unwrap();
    assert_eq!(bob.client.contacts().get_profile_picture(&boats, false).await.unwrap().unwrap().id, set.id);
    alice.client.groups().set_locked(&boats, true).await.unwrap();
    assert!(bob.client.groups().set_profile_picture(&boats, b"other".to_vec()).await.is_err());
    alice.client.groups().remove_profile_picture(&boats).await.unwrap();
    let group = boats.clone();
    bob.wait_for("its removal", move |event| match event {
        Event::PictureUpdate(update) if update.jid == group && update.removed => Some(()),
        _ => None,
    })
    .await;
    assert!(bob.client.contacts().get_profile_picture(&boats, false).await.unwrap().is_none());
    alice.stop().await;
    bob.stop().await;
    simulator.shutdown().await;
}
