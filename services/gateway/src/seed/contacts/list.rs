//! `GET /api/contacts/{instance}?page&limit&search`: a page of the contacts, or of those in whose name, number or address
//! something is found.

use super::{View, each};
use crate::seed::{
    Surface,
    codes::Code,
    envelope::{Answer, coded, success},
    session::{Needs, able, session},
};
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serde_json::json;

/// The longest page, and how long it is when nobody says.
const PAGE: usize = 50;

#[derive(Deserialize)]
pub(in crate::seed) struct Wish {
    page: Option<String>,
    limit: Option<String>,
    search: Option<String>,
}

/// Which contacts are shown.
struct Shown {
    page: usize,
    limit: usize,
    search: String,
}

impl Wish {
    /// As the seed reads it: what is no page or no length is passed over.
    fn read(self) -> Shown {
        let number = |text: Option<String>| text?.parse::<usize>().ok().filter(|number| *number > 0);
        Shown {
            page: number(self.page).unwrap_or(1),
            limit: number(self.limit).filter(|limit| *limit <= PAGE).unwrap_or(PAGE),
            search: self.search.unwrap_or_default().trim().to_lowercase(),
        }
    }
}

impl Shown {
    fn finds(&self, view: &View) -> bool {
        let has = |text: &str| text.to_lowercase().contains(&self.search);
        self.search.is_empty() || has(&view.name) || has(&view.jid) || has(&view.phone_number)
    }
}

/// Shows a page.
pub(in crate::seed) async fn list(State(seed): State<Surface>, Path(id): Path<String>, Query(wish): Query<Wish>) -> Answer {
    let instance = able(session(&seed, &id).await?, Needs::LoggedIn)?;
    let shown = wish.read();
    let first = (shown.page - 1).saturating_mul(shown.limit);
    let (mut total, mut contacts) = (0_usize, Vec::new());
    let read = each(&seed, &instance, |view| {
        if shown.finds(&view) {
            if total >= first && contacts.len() < shown.limit {
                contacts.push(view);
            }
            total += 1;
        }
    });
    read.await.map_err(coded(Code::FetchFailed))?;
    let pages = total.div_ceil(shown.limit);
    let data = json!({
        "total": total,
        "page": shown.page,
        "limit": shown.limit,
        "totalPages": pages,
        "search": shown.search,
        "contacts": contacts,
        "hasNextPage": shown.page < pages,
        "hasPrevPage": shown.page > 1,
    });
    success("Contact list retrieved successfully", data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_page_is_the_first_and_no_page_is_longer_than_fifty() {
        let read = |page: &str, limit: &str| {
            let wish = Wish { page: Some(page.to_owned()), limit: Some(limit.to_owned()), search: None }.read();
            (wish.page, wish.limit)
        };
        assert_eq!(read("3", "20"), (3, 20));
        for (page, limit) in [("0", "0"), ("-1", "51"), ("x", "x"), ("", "99999999999999999999")] {
            assert_eq!(read(page, limit), (1, 50), "{page} {limit}");
        }
    }

    #[test]
    fn it_is_found_by_name_and_number_in_any_case() {
        let view = View {
            jid: "62811@s.whatsapp.net".into(),
            phone_number: "62811".into(),
            name: "Siti ÄRZTIN".into(),
            is_group: false,
            is_lid: false,
        };
        let finds = |search: &str| Wish { page: None, limit: None, search: Some(search.to_owned()) }.read().finds(&view);
        for search in ["", " siti ", "SITI", "ärztin", "2811", "whatsapp.net"] {
            assert!(finds(search), "{search}");
        }
        assert!(!finds("budi") && !finds("62812"));
    }
}
