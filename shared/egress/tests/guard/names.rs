//! A name server that answers as a test says.

use async_trait::async_trait;
use std::{
    collections::{HashMap, VecDeque},
    io,
    net::IpAddr,
    sync::{Arc, Mutex},
};
use warren_egress::Resolver;

#[derive(Default)]
pub(crate) struct Names {
    /// A name's answers, one after the other; the last one stays.
    answers: Mutex<HashMap<String, VecDeque<Vec<IpAddr>>>>,
    asked: Mutex<Vec<String>>,
}

impl Names {
    pub(crate) fn none() -> Arc<Self> {
        Arc::default()
    }

    /// `[(name, [first answer, second answer, ..])]`
    pub(crate) fn new(answers: &[(&str, &[&[&str]])]) -> Arc<Self> {
        let addresses = |answer: &&[&str]| answer.iter().map(|text| text.parse().unwrap()).collect();
        let entry = |(name, answers): &(&str, &[&[&str]])| ((*name).to_owned(), answers.iter().map(addresses).collect());
        Arc::new(Self { answers: Mutex::new(answers.iter().map(entry).collect()), asked: Mutex::default() })
    }

    /// The names that were looked up.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

#[async_trait]
impl Resolver for Names {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.lock().unwrap().push(name.to_owned());
        let mut answers = self.answers.lock().unwrap();
        let waiting = answers.get_mut(name).ok_or(io::ErrorKind::NotFound)?;
        let answer = if waiting.len() > 1 { waiting.pop_front() } else { waiting.front().cloned() };
        Ok(answer.unwrap_or_default())
    }
}

/// A name server that never answers.
pub(crate) struct Silent;

#[async_trait]
impl Resolver for Silent {
    async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        std::future::pending().await
    }
}
