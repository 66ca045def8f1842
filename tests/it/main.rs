//! wharf's promises, kept or broken over real sockets: a scriptable registry upstream, the real binary, a bare client.
//!
//! One module per behaviour; a test's name is one sentence of a promise.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up must fail loudly")]
#![expect(
    clippy::disallowed_methods,
    reason = "the fences are wharf's: tests own their files, tasks and processes"
)]

mod admin;
mod bad_input;
mod bad_manifests;
mod breaker;
mod budget;
mod budget_load;
mod chained;
mod collect;
mod corpus;
mod crash;
mod credentials;
mod damage;
mod delete;
mod endpoints;
mod fake_upstream;
mod faults;
mod fresh_tags;
mod gc;
mod guards;
mod hostile;
mod leavers;
mod limits;
mod list_times;
mod lists;
mod manifests;
mod memory;
mod mount;
mod names;
mod networks;
mod offline;
mod outage;
mod pins;
mod proof;
mod proxied_lists;
mod pull_blob;
mod push_manifests;
mod push_refused;
mod push_shapes;
mod push_wire;
mod races;
mod ranges;
mod rates;
mod read_only;
mod refusals;
mod relay;
mod reload;
mod restore;
mod resume;
mod rules;
mod segments;
mod start;
mod support;
mod upload_breaks;
mod uploads;
mod visibility;
