//! The queue that hands out scripted faults.

use crate::{
    fault::{GatewayFault, GatewayMatch, OssFault, OssMatch},
    task::Export,
};

/// What a call is, as far as a match looks at it.
#[derive(Debug)]
pub(crate) struct CallFacts<'a> {
    pub(crate) action: &'a str,
    pub(crate) export: Option<Export>,
    pub(crate) access_key_id: &'a str,
    pub(crate) page: Option<u64>,
}

impl GatewayMatch {
    fn fits(&self, call: &CallFacts<'_>) -> bool {
        match self {
            Self::Any => true,
            Self::Export(export) => call.export == Some(*export),
            Self::Account(id) => call.access_key_id == id,
            Self::Page(page) => call.page == Some(*page),
            Self::Action(action) => call.action == action,
            Self::All(all) => all.iter().all(|one| one.fits(call)),
        }
    }
}

/// What a request is, as far as a match looks at it.
#[derive(Debug)]
pub(crate) struct GetFacts<'a> {
    pub(crate) task_id: Option<&'a str>,
    pub(crate) nth: u64,
    pub(crate) ranged: bool,
}

impl OssMatch {
    fn fits(&self, get: &GetFacts<'_>) -> bool {
        match self {
            Self::Any => true,
            Self::Task(id) => get.task_id == Some(id),
            Self::Nth(n) => get.nth == *n,
            Self::Ranged => get.ranged,
            Self::All(all) => all.iter().all(|one| one.fits(get)),
        }
    }
}

/// Faults in the order in which they were scripted.
#[derive(Debug)]
pub(crate) struct Script<M, F> {
    entries: Vec<(M, F, u32)>,
}

impl<M, F> Default for Script<M, F> {
    fn default() -> Self {
        Self { entries: Vec::new() }
    }
}

impl<M, F: Clone> Script<M, F> {
    pub(crate) fn push(&mut self, matcher: M, fault: F, times: u32) {
        if times > 0 {
            self.entries.push((matcher, fault, times));
        }
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }

    /// How many firings are still to come.
    pub(crate) fn left(&self) -> u64 {
        self.entries.iter().map(|(_, _, times)| u64::from(*times)).sum()
    }

    fn take(&mut self, fits: impl Fn(&M) -> bool) -> Option<F> {
        let at = self.entries.iter().position(|(matcher, _, _)| fits(matcher))?;
        let (_, fault, times) = &mut self.entries[at];
        let fault = fault.clone();
        // A fault that is to last for ever does not run out.
        if *times != u32::MAX {
            *times -= 1;
            if *times == 0 {
                self.entries.remove(at);
            }
        }
        Some(fault)
    }
}

impl Script<GatewayMatch, GatewayFault> {
    pub(crate) fn next(&mut self, call: &CallFacts<'_>) -> Option<GatewayFault> {
        self.take(|matcher| matcher.fits(call))
    }
}

impl Script<OssMatch, OssFault> {
    pub(crate) fn next(&mut self, get: &GetFacts<'_>) -> Option<OssFault> {
        self.take(|matcher| matcher.fits(get))
    }
}
