//! Moves a ledger by real transitions through the library, without agents or worktrees.

use git_orch::git::Repo;
use git_orch::ledger::Ledger;
use git_orch::model::{
    Actor, AgentId, Ask, AssemblyRecord, Attempt, Claim, CommitId, Gate, Handoff, HandoffStatus,
    Op, PhaseName, PhaseSpec, Plan, PlanChange, TaskId, TaskSpec, TeamId, TeamSpec, Tested,
    Timestamp,
};

use super::TestRepo;

/// A ledger and shorthand for what happens to it.
pub struct Drive {
    pub ledger: Ledger,
    head: CommitId,
}

impl Drive {
    /// Opens the ledger of a repository that has one, speaking for a person.
    pub fn new(repo: &TestRepo) -> Self {
        let opened = Repo::discover(repo.path()).unwrap();
        let head = opened.read_ref("refs/heads/main").unwrap().unwrap();
        Self {
            ledger: Ledger::open(opened, Actor::Human).unwrap(),
            head: CommitId(head.to_string()),
        }
    }

    /// Applies a plan of one phase with these tasks: id, team, title.
    pub fn plan(&mut self, tasks: &[(&str, u32, &str)]) -> &mut Self {
        let mut plan = Plan::default();
        plan.run.name = String::from("demo");
        for (id, team, title) in tasks {
            let team = TeamId(*team);
            if plan.teams.iter().all(|known| known.id != team) {
                plan.teams.push(TeamSpec {
                    id: team,
                    name: format!("Team {team}"),
                    coders: 4,
                    parent: None,
                    agent: None,
                    model: None,
                    skills: Vec::new(),
                    agents: Vec::new(),
                });
            }
            plan.tasks
                .push(TaskSpec::new(id.parse().unwrap(), team, *title));
        }
        plan.phases = vec![PhaseSpec {
            name: PhaseName(String::from("all")),
            teams: plan.teams.iter().map(|team| team.id).collect(),
            after: Vec::new(),
        }];
        self.apply(plan)
    }

    /// Applies a plan.
    pub fn apply(&mut self, plan: Plan) -> &mut Self {
        self.does(Op::ApplyPlan(Box::new(PlanChange::new(plan))))
    }

    /// Carries out an operation; fails the test if it is refused.
    pub fn does(&mut self, op: Op) -> &mut Self {
        self.ledger.transact(op).unwrap();
        self
    }

    pub fn dispatch(&mut self) -> &mut Self {
        self.does(Op::Dispatch(Gate::default()))
    }

    /// Claims and starts.
    pub fn start(&mut self, task: &str, agent: &str) -> &mut Self {
        let mut ask = Ask::named(id(task), agent.parse().unwrap(), Some(self.head.clone()));
        ask.lease_until = Timestamp(4_000_000_000);
        self.does(Op::Claim(Box::new(ask)));
        let claim = self.claim(task);
        self.does(Op::Start(claim))
    }

    /// The claim as it stands.
    pub fn claim(&self, task: &str) -> Claim {
        let status = &self.ledger.board().tasks[&id(task)].status;
        Claim {
            task: id(task),
            agent: status.agent.unwrap(),
            attempt: status.attempt,
        }
    }

    pub fn block(&mut self, task: &str, reason: &str) -> &mut Self {
        self.does(Op::Block(self.claim(task), reason.to_owned()))
    }

    pub fn fail(&mut self, task: &str, reason: &str, findings: &str) -> &mut Self {
        let findings = Some(findings.to_owned());
        self.does(Op::Fail(self.claim(task), reason.to_owned(), findings))
    }

    pub fn submit(&mut self, task: &str, summary: &str) -> &mut Self {
        let handoff = Handoff {
            task_id: id(task),
            status: HandoffStatus::Completed,
            summary: summary.to_owned(),
            output: String::from("src/"),
            deliverables: vec![String::from("src/a.rs")],
            dependencies: Vec::new(),
            next_steps: Vec::new(),
        };
        let head = self.head.clone();
        self.does(Op::Submit(self.claim(task), head, Box::new(handoff)))
    }

    pub fn reject(&mut self, task: &str, reason: &str, findings: &str) -> &mut Self {
        let (reason, findings) = (reason.to_owned(), findings.to_owned());
        self.does(Op::Reject(id(task), self.head.clone(), reason, findings))
    }

    pub fn merge(&mut self, task: &str) -> &mut Self {
        let head = self.head.clone();
        self.does(Op::Merge(id(task), head.clone(), head))
    }

    pub fn escalate(&mut self, task: &str, words: &str) -> &mut Self {
        self.does(Op::Escalate(id(task), words.to_owned()))
    }

    pub fn assembled(&mut self) -> &mut Self {
        self.does(Op::Assembled(Box::new(AssemblyRecord {
            team: None,
            report: String::new(),
            summary: String::from("all in"),
            tested: Some(Tested {
                commit: self.head.clone(),
                test: None,
            }),
        })))
    }

    pub fn attempt(&self, task: &str) -> Attempt {
        self.ledger.board().tasks[&id(task)].status.attempt
    }
}

fn id(task: &str) -> TaskId {
    task.parse().unwrap()
}

pub fn agent(text: &str) -> AgentId {
    text.parse().unwrap()
}
