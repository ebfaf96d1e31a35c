//! Groups: what an instance's account is in, asked of WhatsApp each time.

pub(crate) mod create;
pub(crate) mod invites;
pub(crate) mod leave;
pub(crate) mod list;
pub(crate) mod members;
pub(crate) mod one;

use crate::{
    problem::{Problem, Result},
    state::App,
    v1::messages::checks::is_visible,
};
use warren_domain::{
    InstanceId, Recipient, TenantId,
    group::{DESCRIPTION_CHARACTERS, PARTICIPANTS, SUBJECT_CHARACTERS},
};
use warren_ports::bus::{
    Answer, Ask,
    ask::{GroupAnswer, GroupAsk},
};

/// Asks about groups of the tenant's instance; `None` where there is nothing to tell.
async fn ask(app: &App, tenant: TenantId, instance: InstanceId, ask: GroupAsk) -> Result<Option<GroupAnswer>> {
    app.instance(tenant, instance).await?;
    let answer = app.ask_whatsapp(tenant, instance, Ask::Groups(ask)).await?;
    Ok(if let Answer::Groups(answer) = answer { Some(answer) } else { None })
}

/// What no owner of this version answers.
fn unexpected() -> Problem {
    Problem::internal("an ask about groups was answered by something else")
}

fn subject(subject: &str) -> Result<()> {
    let fits = subject.chars().count() <= SUBJECT_CHARACTERS
        && subject.chars().any(is_visible)
        && !subject.chars().any(char::is_control);
    if fits {
        return Ok(());
    }
    Err(Problem::field("subject", "A subject is one line of 1 to 100 characters, at least one of them visible."))
}

fn description(description: &str) -> Result<()> {
    let fits = description.chars().count() <= DESCRIPTION_CHARACTERS && !description.contains('\0');
    if fits { Ok(()) } else { Err(Problem::field("description", "A description has at most 2,048 characters.")) }
}

/// The addresses of people, each once: at least `least`, at most `PARTICIPANTS`.
fn people(people: &[String], least: usize) -> Result<Vec<String>> {
    if people.len() < least || people.len() > PARTICIPANTS {
        return Err(Problem::field("participants", format!("{least} to 1,024 people.")));
    }
    let mut addresses = Vec::with_capacity(people.len());
    let mut seen = std::collections::HashSet::new();
    for person in people {
        let person = Recipient::person(person);
        let address = person.map_err(|error| Problem::from(error).with("field", "participants".into()))?.jid();
        if seen.insert(address.clone()) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn texts_have_their_limits() {
        assert!(subject(&"é".repeat(100)).is_ok());
        for bad in ["", " ", "\u{200b}", "a\nb", &"e".repeat(101)] {
            assert!(subject(bad).is_err(), "{bad:?}");
        }
        assert!(description(&"é\n".repeat(1_024)).is_ok());
        assert!(description(&"e".repeat(2_049)).is_err() && description("a\0").is_err());
    }

    #[test]
    fn people_are_persons_and_each_is_named_once() {
        let of = |names: &[&str]| people(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(), 1);
        assert_eq!(of(&["+628123456789", "628123456789", "1@lid"]).unwrap(), ["628123456789@s.whatsapp.net", "1@lid"]);
        assert!(of(&[]).is_err());
        for nobody in ["120363000000000001@g.us", "x", ""] {
            assert_eq!(of(&[nobody]).unwrap_err().code(), "invalid_recipient");
        }
        let many: Vec<_> = (0..1_025).map(|number| format!("{}", 628_100_000_000_u64 + number)).collect();
        assert!(people(&many, 1).is_err());
    }
}
