//! What a content may hold. Limits are WhatsApp's own clients' where they are known, and generous where they are not.

use crate::problem::{Problem, Result};
use warren_domain::{
    Recipient,
    message::{Contact, Location, Text},
};

/// The longest text, characters: what WhatsApp's own clients take.
const TEXT_CHARACTERS: usize = 65_536;
const MENTIONS: usize = 256;
const NAME_CHARACTERS: usize = 1_000;
const CONTACTS: usize = 100;
const PHONES: usize = 20;
const VCARD_BYTES: usize = 16 * 1024;

/// A text that shows something and fits. Who is mentioned is written as an address.
pub(super) fn text(text: Text) -> Result<Text> {
    body("text.body", &text.body)?;
    if text.mentions.len() > MENTIONS {
        return Err(Problem::field("text.mentions", "A text mentions at most 256 people."));
    }
    let mentions = text.mentions.iter().map(|person| Ok(Recipient::person(person)?.jid())).collect::<Result<_>>();
    let mentions = mentions.map_err(|error: Problem| error.with("field", "text.mentions".into()))?;
    Ok(Text { mentions, ..text })
}

/// The words of a text, or the new words of an edited one.
pub(crate) fn body(field: &'static str, body: &str) -> Result<()> {
    if body.chars().count() > TEXT_CHARACTERS {
        return Err(Problem::field(field, "A text has at most 65,536 characters."));
    }
    if body.contains('\0') {
        return Err(Problem::field(field, "A text cannot hold a NUL character."));
    }
    if !body.chars().any(is_visible) {
        return Err(Problem::field(field, "A text has at least one visible character."));
    }
    Ok(())
}

pub(super) fn location(location: Location) -> Result<Location> {
    if !(-90.0..=90.0).contains(&location.latitude) {
        return Err(Problem::field("location.latitude", "A latitude is -90 to 90 degrees."));
    }
    if !(-180.0..=180.0).contains(&location.longitude) {
        return Err(Problem::field("location.longitude", "A longitude is -180 to 180 degrees."));
    }
    for (field, words) in [("location.name", &location.name), ("location.address", &location.address)] {
        if let Some(words) = words {
            line(field, words)?;
        }
    }
    Ok(location)
}

pub(super) fn contacts(contacts: Vec<Contact>) -> Result<Vec<Contact>> {
    if contacts.is_empty() || contacts.len() > CONTACTS {
        return Err(Problem::field("contacts", "A message has 1 to 100 contacts."));
    }
    contacts.into_iter().map(contact).collect()
}

fn contact(contact: Contact) -> Result<Contact> {
    line("contacts.name", &contact.name)?;
    let has_phones = !contact.phones.is_empty();
    match &contact.vcard {
        Some(_) if has_phones => Err(Problem::field("contacts.vcard", "Give phones or a vcard, not both.")),
        Some(vcard) => {
            let is_card = vcard.trim_start().to_ascii_uppercase().starts_with("BEGIN:VCARD") && !vcard.contains('\0');
            if !is_card || vcard.len() > VCARD_BYTES {
                return Err(Problem::field("contacts.vcard", "A vCard begins with BEGIN:VCARD and has at most 16 KiB."));
            }
            Ok(contact)
        }
        None if !has_phones || contact.phones.len() > PHONES => {
            Err(Problem::field("contacts.phones", "A contact has 1 to 20 phone numbers, or a vcard."))
        }
        None => {
            let phones = contact.phones.iter().map(|phone| phone_digits(phone)).collect::<Result<_>>()?;
            Ok(Contact { phones, ..contact })
        }
    }
}

fn phone_digits(phone: &str) -> Result<String> {
    match Recipient::person(phone) {
        Ok(Recipient::Phone(digits)) => Ok(digits),
        _ => Err(Problem::field("contacts.phones", "A phone number is written in full, with its country code.")),
    }
}

/// A short line of words.
pub(super) fn line(field: &'static str, words: &str) -> Result<()> {
    let fits = words.chars().count() <= NAME_CHARACTERS && words.chars().any(is_visible) && !words.contains('\0');
    if fits { Ok(()) } else { Err(Problem::field(field, "1 to 1,000 characters, at least one of them visible.")) }
}

/// One emoji as WhatsApp writes a reaction, a few characters joined; empty takes a reaction back.
pub(super) fn emoji(emoji: &str) -> Result<()> {
    let fits = emoji.len() <= 64 && emoji.chars().count() <= 16 && !emoji.chars().any(char::is_control);
    let is_word = emoji.chars().any(|c| c.is_alphabetic() || c.is_whitespace());
    if fits && !is_word { Ok(()) } else { Err(Problem::field("emoji", "One emoji, or nothing to take a reaction back.")) }
}

/// Whether a character shows: not white space, no control, none of Unicode's Default_Ignorable_Code_Point.
pub(crate) fn is_visible(c: char) -> bool {
    let is_ignorable = matches!(u32::from(c),
        0xAD | 0x34F | 0x61C | 0x115F..=0x1160 | 0x17B4..=0x17B5 | 0x180B..=0x180F | 0x200B..=0x200F | 0x202A..=0x202E
        | 0x2060..=0x206F | 0x2800 | 0x3164 | 0xFE00..=0xFE0F | 0xFEFF | 0xFFA0 | 0xFFF0..=0xFFF8 | 0x1BCA0..=0x1BCA3
        | 0x1D173..=0x1D17A | 0xE0000..=0xE0FFF);
    !(is_ignorable || c.is_whitespace() || c.is_control())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn of(body: &str) -> Result<Text> {
        text(Text { body: body.to_owned(), ..Text::default() })
    }

    #[test]
    fn a_text_shows_something_and_fits() {
        for body in ["x", "👍", "  .  ", "'; DROP TABLE messages; --", "{{7*7}}", "${jndi:ldap://x}", "\u{200d}é"] {
            assert!(of(body).is_ok(), "{body:?}");
        }
        for body in ["", "   ", "\u{200b}\u{200c}\u{feff}", "\n\t", "\u{2060}\u{fe0f}", "a\0b"] {
            assert_eq!(of(body).unwrap_err().code(), "invalid_request", "{body:?}");
        }
        assert!(of(&"é".repeat(65_536)).is_ok());
        assert!(of(&"e".repeat(65_537)).is_err());
    }

    #[test]
    fn mentions_are_addresses() {
        let mentioning = |person: &str| text(Text { body: "@1".into(), mentions: vec![person.into()] });
        assert_eq!(mentioning("+628123456789").unwrap().mentions, ["628123456789@s.whatsapp.net"]);
        for nobody in ["nobody", "120363000000000001@g.us"] {
            assert_eq!(mentioning(nobody).unwrap_err().code(), "invalid_recipient");
        }
    }

    #[test]
    fn places_are_on_earth() {
        let at = |latitude, longitude| location(Location { latitude, longitude, name: None, address: None });
        assert!(at(-90.0, 180.0).is_ok());
        for (latitude, longitude) in [(90.1, 0.0), (0.0, -180.1), (f64::NAN, 0.0), (0.0, f64::INFINITY)] {
            assert!(at(latitude, longitude).is_err(), "{latitude} {longitude}");
        }
    }

    #[test]
    fn a_card_has_numbers_or_is_whole() {
        let card = |phones: &[&str], vcard: Option<&str>| {
            let phones = phones.iter().map(|phone| (*phone).to_owned()).collect();
            contacts(vec![Contact { name: "Budi".into(), phones, vcard: vcard.map(str::to_owned) }])
        };
        assert_eq!(
            card(&["+628123456789"], None).unwrap()[..],
            [Contact { name: "Budi".into(), phones: vec!["628123456789".into()], vcard: None }]
        );
        assert!(card(&[], Some("BEGIN:VCARD\nEND:VCARD")).is_ok());
        for (phones, vcard) in
            [(&[][..], None), (&["x"][..], None), (&["628123456789"][..], Some("BEGIN:VCARD")), (&[], Some("x"))]
        {
            assert!(card(phones, vcard).is_err(), "{phones:?} {vcard:?}");
        }
    }

    #[test]
    fn a_reaction_is_an_emoji() {
        for good in ["", "👍", "❤️", "👩‍👩‍👧‍👦", "1️⃣"] {
            assert!(emoji(good).is_ok(), "{good}");
        }
        for bad in ["ok", "👍 👍", "\n", &"👍".repeat(17)] {
            assert!(emoji(bad).is_err(), "{bad}");
        }
    }
}
