//! `GET /api/contacts/{instance}/export?format=xlsx|csv`: all contacts as a file for spreadsheets.
//!
//! Strangers choose their names: one that a spreadsheet would take for a formula is marked as a text.

use super::{View, each};
use crate::{
    problem::Problem,
    seed::{
        Shaped, Surface,
        codes::Code,
        envelope::{Answer, Failure, coded},
        session::{Needs, able, session},
    },
};
use axum::{
    body::Body,
    extract::{Path, Query, State},
    http::{HeaderValue, header},
    response::Response,
};
use rust_xlsxwriter::{Workbook, XlsxError};
use serde::Deserialize;
use warren_domain::InstanceId;

const COLUMNS: [&str; 5] = ["No", "Phone Number", "Name", "JID", "Type"];
/// What all contacts are: groups are not among them.
const TYPE: &str = "Contact";

#[derive(Deserialize)]
pub(in crate::seed) struct Wish {
    format: Option<String>,
}

/// The kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Xlsx,
    Csv,
}

impl Format {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "" | "xlsx" => Some(Self::Xlsx),
            "csv" => Some(Self::Csv),
            _ => None,
        }
    }

    const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Xlsx => ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"),
            Self::Csv => ("text/csv", "csv"),
        }
    }

    fn write(self, contacts: &[View]) -> Result<Vec<u8>, Problem> {
        match self {
            Self::Xlsx => xlsx(contacts).map_err(Problem::internal),
            Self::Csv => csv(contacts).map_err(Problem::internal),
        }
    }
}

/// Answers the file. At most so many are made at once as the surface has places for.
pub(in crate::seed) async fn export(
    State(seed): State<Surface>,
    Path(id): Path<String>,
    Query(wish): Query<Wish>,
) -> Answer {
    let wrong = || Failure::from(Code::InvalidFormat).details("Format must be 'xlsx' or 'csv'.");
    let format = Format::parse(wish.format.as_deref().unwrap_or_default()).ok_or_else(wrong)?;
    let instance = able(session(&seed, &id).await?, Needs::LoggedIn)?;
    let closed = |error| coded(Code::FetchFailed)(Problem::internal(error));
    let _place = seed.exports.acquire().await.map_err(closed)?;
    let mut contacts = Vec::new();
    each(&seed, &instance, |view| contacts.push(view)).await.map_err(coded(Code::FetchFailed))?;
    // Tens of thousands of rows take their time.
    let written = tokio::task::spawn_blocking(move || format.write(&contacts)).await;
    let bytes = written.map_err(Problem::internal).flatten().map_err(coded(Code::FetchFailed))?;
    file(instance.id, format, bytes)
}

fn file(instance: InstanceId, format: Format, bytes: Vec<u8>) -> Answer {
    let (kind, ending) = format.names();
    let disposition = format!("attachment; filename=contacts_{instance}.{ending}");
    let mut response = Response::new(Body::from(bytes));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Ok(disposition) = HeaderValue::from_str(&disposition) {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    response.extensions_mut().insert(Shaped);
    Ok(response)
}

/// In a file of texts everything that begins so is a formula to spreadsheets: an apostrophe before it makes it a text.
fn harmless(text: &str) -> String {
    match text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
        true => format!("'{text}"),
        false => text.to_owned(),
    }
}

fn csv(contacts: &[View]) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS)?;
    for (number, view) in (1_u32..).zip(contacts) {
        let texts = [&view.phone_number, &view.name, &view.jid].map(|text| harmless(text));
        let [phone, name, jid] = &texts;
        writer.write_record([&number.to_string(), phone, name, jid, TYPE])?;
    }
    writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))
}

/// Here a text is a text, whatever it begins with.
fn xlsx(contacts: &[View]) -> Result<Vec<u8>, XlsxError> {
    let mut workbook = Workbook::new();
    let sheet = workbook.add_worksheet().set_name("Contacts")?;
    for (column, title) in (0..).zip(COLUMNS) {
        sheet.write_string(0, column, title)?;
    }
    for (column, width) in (0..).zip([5, 15, 25, 35, 10]) {
        sheet.set_column_width(column, width)?;
    }
    for (row, view) in (1_u32..).zip(contacts) {
        sheet.write_number(row, 0, row)?;
        for (column, text) in (1..).zip([view.phone_number.as_str(), &view.name, &view.jid, TYPE]) {
            sheet.write_string(row, column, text)?;
        }
    }
    workbook.save_to_buffer()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn named(name: &str) -> View {
        View {
            jid: "62811@s.whatsapp.net".into(),
            phone_number: "62811".into(),
            name: name.into(),
            is_group: false,
            is_lid: false,
        }
    }

    #[test]
    fn no_name_is_a_formula() {
        let names = ["=1+1", "+1", "-1", "@x", "\t=1", "a \"b\", c", "Siti"].map(named);
        let text = String::from_utf8(csv(&names).unwrap()).unwrap();
        let lines: Vec<_> = text.lines().collect();
        let row = |number: usize, name: &str| format!("{number},62811,{name},62811@s.whatsapp.net,Contact");
        let expected = [
            "No,Phone Number,Name,JID,Type".to_owned(),
            row(1, "'=1+1"),
            row(2, "'+1"),
            row(3, "'-1"),
            row(4, "'@x"),
            row(5, "'\t=1"),
            row(6, "\"a \"\"b\"\", c\""),
            row(7, "Siti"),
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_workbook_holds_texts() {
        let bytes = xlsx(&[named("=1+1")]).unwrap();
        assert!(bytes.starts_with(b"PK"));
        assert!(xlsx(&[]).unwrap().starts_with(b"PK"));
    }

    #[test]
    fn a_workbook_is_what_nobody_says_otherwise() {
        let of = |text: &str| Format::parse(text).map(Format::names).map(|(_, ending)| ending);
        assert_eq!(
            [of(""), of("xlsx"), of("csv"), of("XLSX"), of("pdf")],
            [Some("xlsx"), Some("xlsx"), Some("csv"), None, None]
        );
    }
}
