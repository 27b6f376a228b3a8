//! Upserts that look at what they replace, in groups: those that wait for the same table are carried out one after the other in
//! memory, with one look at the table, and land in one change of the log.
//!
//! Who comes first leads: it takes along who has come by the time that the table is its own, and the lead goes on when the
//! change has landed. Invariant: a statement finds what those before it have made of the rows, and nothing of those that
//! failed; whoever waits hears what came of its statement, or carries it out itself.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use parking_lot::Mutex;
use roaring::RoaringTreemap;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::buffer::{Addition, Right, Rows, refuse_changed};
use crate::catalog::definition::RelationDef;
use crate::catalog::name::Oid;
use crate::engine::Engine;
use crate::engine::conflict::clause::Conflict;
use crate::engine::conflict::setter::Setter;
use crate::engine::write::Rules;
use crate::error::{Error, Result};
use crate::log::Durability;

mod present;

use present::Present;

/// Statements that one leader takes along.
const GROUP_MAX: usize = 1000;

/// One statement, with all that it takes to carry it out.
pub(super) struct Job {
    pub relation: Arc<RelationDef>,
    pub conflict: Arc<Conflict>,
    /// The proposed rows: exactly the table's columns, checked.
    pub proposed: RecordBatch,
    /// What becomes of rows that are there; nothing where they stay as they are.
    pub setter: Option<Arc<Setter>>,
    pub rules: Arc<Rules>,
    pub durability: Durability,
    pub cancel: CancellationToken,
}

/// What came of a statement.
enum Answer {
    /// The rows that it has written, in the order of the proposed ones.
    Done(Result<RecordBatch>),
    /// It has to go another way: alone, with a plan.
    Unfit,
    /// It is this statement's turn to lead.
    Lead(Lead),
}

struct Waiting {
    job: Arc<Job>,
    answer: oneshot::Sender<Answer>,
}

/// Who waits, by table. A table is among them while somebody leads.
#[derive(Default)]
pub(in crate::engine) struct Turns(Mutex<HashMap<Oid, Vec<Waiting>>>);

impl Turns {
    /// Waits in line; true for who leads.
    fn enter(&self, waiting: Waiting) -> bool {
        let mut turns = self.0.lock();
        let table = waiting.job.relation.oid;
        let leads = !turns.contains_key(&table);
        turns.entry(table).or_default().push(waiting);
        leads
    }

    /// Those who wait and have not gone.
    fn take(&self, table: Oid) -> Vec<Waiting> {
        let mut turns = self.0.lock();
        let Some(all) = turns.get_mut(&table) else { return Vec::new() };
        all.retain(|waiting| !waiting.answer.is_closed());
        all.drain(..all.len().min(GROUP_MAX)).collect()
    }

    /// The next in line, if anybody waits.
    fn next(&self, table: Oid) -> Option<Waiting> {
        let mut turns = self.0.lock();
        let all = turns.get_mut(&table)?;
        all.retain(|waiting| !waiting.answer.is_closed());
        match all.is_empty() {
            true => {
                turns.remove(&table);
                None
            }
            false => Some(all.remove(0)),
        }
    }
}

/// The lead at a table: goes on to the next in line when it is dropped, also by somebody who has gone before it came.
struct Lead {
    turns: Arc<Turns>,
    table: Oid,
}

impl Drop for Lead {
    fn drop(&mut self) {
        if let Some(next) = self.turns.next(self.table) {
            let lead = Self { turns: Arc::clone(&self.turns), table: self.table };
            drop(next.answer.send(Answer::Lead(lead)));
        }
    }
}

impl Engine {
    /// Carries a statement out with others of its kind. Gives the rows that it has written; `None`, with nothing done, where
    /// it has to go another way.
    pub(super) async fn upsert_in_turn(&self, job: Job) -> Result<Option<RecordBatch>> {
        let job = Arc::new(job);
        let mut lead = None;
        loop {
            let (answer, answered) = oneshot::channel();
            let first = self.turns.enter(Waiting { job: Arc::clone(&job), answer });
            let first = first.then(|| Lead { turns: Arc::clone(&self.turns), table: job.relation.oid });
            if let Some(lead) = lead.take().or(first)
                && self.carry_out(&job.relation, lead).await.is_err()
            {
                // Nothing was done: alone it hears what is wrong.
                return Ok(None);
            }
            match answered.await {
                Ok(Answer::Done(written)) => return written.map(Some),
                Ok(Answer::Unfit) => return Ok(None),
                Ok(Answer::Lead(next)) => lead = Some(next),
                // Who led has gone, and nothing was done.
                Err(_) => {}
            }
        }
    }

    /// Carries out the statements of all who wait.
    async fn carry_out(&self, relation: &Arc<RelationDef>, lead: Lead) -> Result<()> {
        let right = self.buffer().own_rows(relation).await?;
        let current = self.settled(relation).await?;
        let (mut able, mut rest) = (Vec::new(), Vec::new());
        for waiting in self.turns.take(relation.oid) {
            let checked = match waiting.job.cancel.is_cancelled() {
                true => Err(Error::canceled()),
                false => refuse_changed(&current.catalog, &waiting.job.relation),
            };
            match checked {
                Ok(()) => able.push(waiting),
                Err(error) => rest.push((waiting, Answer::Done(Err(error)))),
            }
        }
        rest.into_iter().for_each(|(waiting, answer)| drop(waiting.answer.send(answer)));
        let proposed: Vec<&RecordBatch> = able.iter().map(|waiting| &waiting.job.proposed).collect();
        if proposed.is_empty() {
            return Ok(());
        }
        let mut present = Present::look(self, relation, &current, &proposed).await?;
        let mut done = Vec::with_capacity(able.len());
        for Waiting { job, answer } in able {
            match self.carried_out(&job, &mut present).await {
                Ok(Some(written)) => done.push((answer, written, job.durability)),
                // A plan says what is wrong with it.
                Ok(None) | Err(_) => drop(answer.send(Answer::Unfit)),
            }
        }
        let rows = present.outcome(relation)?;
        self.land_group(rows, done, right, lead);
        Ok(())
    }

    /// What one statement makes of the rows; `None` where several rows have a key that it changes.
    async fn carried_out(&self, job: &Job, present: &mut Present) -> Result<Option<RecordBatch>> {
        let keys = present.keys(&job.proposed)?;
        let places: Vec<_> = keys.iter().map(|key| present.place(key)).collect();
        if job.setter.is_some() && keys.iter().any(|key| present.is_of_many(key)) {
            return Ok(None);
        }
        let there: Vec<u32> = (0..).zip(&places).filter_map(|(number, place)| place.map(|_| number)).collect();
        let (mut changed, mut changing) = (None, Vec::new());
        if let Some(setter) = job.setter.as_ref().filter(|_| !there.is_empty()) {
            let proposed = take_record_batch(&job.proposed, &UInt32Array::from(there.clone()))?;
            let (rows, holds) = setter.apply(&proposed, &present.rows(places.iter().flatten())?, &job.rules)?;
            changing = there.iter().zip(&holds).filter(|(_, holds)| *holds == Some(true)).map(|(at, _)| *at).collect();
            changed = Some(rows);
        }
        let new: Vec<u32> = match (keys.len(), there.as_slice()) {
            (1, []) => vec![0],
            (1, _) => Vec::new(),
            _ => {
                let numbers = |numbers: &[u32]| numbers.iter().map(|at| u64::from(*at)).collect::<RoaringTreemap>();
                let (all, there, of_changing) = ([job.proposed.clone()], numbers(&there), numbers(&changing));
                let new = self.newcomers(&job.conflict, &all, &there, &of_changing, &job.cancel).await?;
                new.iter().filter_map(|number| u32::try_from(number).ok()).collect()
            }
        };
        present.write(&keys, &job.proposed, &new, changed.as_ref(), &changing).map(Some)
    }

    /// Lands what a group has made of the rows, and tells each of its statements. Once begun it is finished, also when the
    /// clients have gone.
    fn land_group(
        &self,
        rows: Vec<Rows>,
        done: Vec<(oneshot::Sender<Answer>, RecordBatch, Durability)>,
        right: Right,
        lead: Lead,
    ) {
        let buffer = Arc::clone(self.buffer());
        let is_synced = done.iter().any(|(.., durability)| *durability == Durability::Synced);
        let durability = if is_synced { Durability::Synced } else { Durability::Written };
        tokio::spawn(async move {
            let landed = match rows.is_empty() {
                true => Ok(()),
                false => buffer.add(Addition { rows, ..Addition::default() }, durability).await.map(drop),
            };
            for (answer, written, _) in done {
                drop(answer.send(Answer::Done(landed.clone().map(|()| written))));
            }
            // The next one may look at the rows now.
            drop(right);
            drop(lead);
        });
    }
}
