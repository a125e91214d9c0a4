//! The machine against a made-up world: whatever happens in whatever order, it never does too much and always comes to rest.

use super::*;
use crate::{
    port::Exit,
    spec::{Build, Command, Dependency, Port, ServiceSpec},
    state::{LastExit, StageFailure},
};
use motet_kernel::clock;
use proptest::prelude::*;
use std::time::Duration;

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

fn name(text: &str) -> ServiceName {
    text.parse().unwrap()
}

fn spec(text: &str) -> ServiceSpec {
    ServiceSpec { port: Port::Free, ..ServiceSpec::new(name(text), "/", Command::Shell("run".to_owned())) }
}

fn last(exit: Exit) -> LastExit {
    LastExit { exit, why: None, lines: Vec::new(), at: clock::now() }
}

fn failure() -> StageFailure {
    StageFailure { reason: "failed".to_owned(), lines: Vec::new(), retry_at: None }
}

/// A state, a clock, and the rules that must hold after each step.
struct World {
    state: State,
    now: Instant,
}

impl World {
    fn new(specs: Vec<ServiceSpec>) -> Self {
        let mut world = Self { state: State::default(), now: Instant::now() };
        world.state.apply(specs);
        world.settle();
        world
    }

    /// Begins what is decided until nothing more is, as the loop does.
    fn settle(&mut self) {
        for _ in 0..16 {
            let actions = decide(&self.state, self.now);
            if actions.is_empty() {
                return self.check();
            }
            actions.into_iter().for_each(|action| self.begin(action));
        }
        panic!("decisions do not come to rest: {:#?}", decide(&self.state, self.now));
    }

    fn begin(&mut self, action: Action) {
        match action {
            Action::Build(service) => self.stage(&service, |service| &mut service.build, false),
            Action::Prepare(service) => self.stage(&service, |service| &mut service.prepare, false),
            Action::Abort(service) => {
                self.stage(&service, |service| &mut service.build, true);
                self.stage(&service, |service| &mut service.prepare, true);
            }
            Action::Start { service, slot } => {
                let id = InstanceId::new();
                self.state.ordered(&service, slot, id, None, clock::now());
                self.state.started(&service, id, None);
            }
            Action::Stop { service, instance, .. } => self.state.stopping(&service, instance),
            Action::Forget(service) => self.state.forget(&service),
        }
    }

    fn stage(&mut self, name: &ServiceName, of: impl Fn(&mut Service) -> &mut Stage, aborted: bool) {
        let stage = of(self.state.services.get_mut(name).unwrap());
        if !aborted || stage.is_running() {
            *stage = Stage::Running { aborted };
        }
    }

    fn check(&self) {
        for service in self.state.services.values() {
            let live = service.instances().filter(|instance| instance.is_live()).count();
            let wanted = if is_leaving(&self.state, service) { 0 } else { service.wanted as usize };
            let surge = usize::from(!service.spec.is_exclusive());
            if !is_leaving(&self.state, service) {
                assert!(live <= wanted + surge, "{live} of {wanted}: {service:#?}");
            }
            for slot in service.slots.values().filter(|_| service.spec.is_exclusive()) {
                let is_current = |it: &crate::state::Instance| it.generation == service.generation && it.is_live();
                assert!(slot.instances.len() <= 1 || !slot.instances.iter().any(is_current), "{service:#?}");
            }
            if !service.built {
                let current = service.instances().filter(|instance| instance.generation == service.generation);
                assert_eq!(current.count(), 0, "started without a build: {service:#?}");
            }
        }
    }

    fn instances(&self) -> Vec<(ServiceName, InstanceId, Phase)> {
        let of = |service: &Service| {
            let name = service.spec.name.clone();
            service.instances().map(move |instance| (name.clone(), instance.id, instance.phase)).collect::<Vec<_>>()
        };
        self.state.services.values().flat_map(of).collect()
    }

    fn exit(&mut self, service: &ServiceName, id: InstanceId, exit: Exit) {
        self.state.exited(service, id, last(exit), self.now, 0.5);
    }

    fn end_stages(&mut self, success: bool) {
        let result = || if success { Ok(()) } else { Err(failure()) };
        let names: Vec<_> = self.state.services.keys().cloned().collect();
        for name in names {
            let service = &self.state.services[&name];
            let (is_building, is_preparing) = (service.build.is_running(), service.prepare.is_running());
            if is_building {
                self.state.built(&name, result());
            }
            if is_preparing {
                self.state.prepared(&name, result(), self.now, 0.5);
            }
        }
    }

    /// Lets everything go well for one round.
    fn go_well(&mut self) {
        self.now += Duration::from_secs(31);
        self.end_stages(true);
        for (service, id, phase) in self.instances() {
            let is_job = self.state.services[&service].spec.kind == Kind::RunToCompletion;
            match phase {
                Phase::Stopping { .. } => self.exit(&service, id, Exit::Signal(15)),
                Phase::Starting | Phase::Ordered if !is_job => self.state.ready(&service, id, self.now),
                Phase::Starting | Phase::Ordered | Phase::Ready if is_job => self.exit(&service, id, Exit::Code(0)),
                _ => {}
            }
        }
        self.settle();
    }

    fn is_at_rest(&self) -> bool {
        self.state.services.values().all(|service| {
            if is_leaving(&self.state, service) {
                return !service.is_active();
            }
            let is_current = |instance: &crate::state::Instance| {
                instance.generation == service.generation && instance.phase == Phase::Ready
            };
            let ready = service.instances().filter(|instance| is_current(instance)).count();
            let count = service.instances().count();
            (ready == service.wanted as usize && count == ready) || (service.is_completed() && count == 0)
        })
    }
}

/// Something that happens.
#[derive(Debug, Clone)]
enum Happening {
    Apply(Vec<ServiceSpec>),
    Scale(usize, u32),
    Restart(usize),
    Rebuild(usize),
    StopAll,
    Stages(bool),
    Ready(usize),
    Exit(usize, bool),
    Failing(usize),
    Later(u64),
    Well,
}

prop_compose! {
    fn one_spec(place: usize)(
        version in 0..2u32, instances in 0..4u32, has_build in any::<bool>(), has_prepare in any::<bool>(),
        is_exclusive in any::<bool>(), is_job in any::<bool>(), after in proptest::collection::vec(0..4usize, 0..2),
    ) -> ServiceSpec {
        let mut spec = spec(NAMES[place]);
        spec.env.insert("VERSION".to_owned(), version.to_string());
        spec.instances = instances;
        spec.build = has_build.then(|| Build::new(Command::Shell("make".to_owned())));
        spec.prepare = has_prepare.then(|| Command::Shell("migrate".to_owned()));
        if is_exclusive || is_job {
            spec.instances = instances.min(1);
            spec.port = Port::Fixed(7);
        }
        if is_job {
            spec.kind = Kind::RunToCompletion;
        }
        // Only on services before it in the alphabet, and so without a cycle.
        let after = after.into_iter().filter(|other| *other < place);
        spec.after = after.map(|other| Dependency { service: name(NAMES[other]), until: Until::Ready }).collect();
        spec
    }
}

fn specs() -> impl Strategy<Value = Vec<ServiceSpec>> {
    (1..=NAMES.len()).prop_flat_map(|count| (0..count).map(one_spec).collect::<Vec<_>>())
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        specs().prop_map(Happening::Apply),
        (0..4usize, 0..4u32).prop_map(|(place, wanted)| Happening::Scale(place, wanted)),
        (0..4usize).prop_map(Happening::Restart),
        (0..4usize).prop_map(Happening::Rebuild),
        Just(Happening::StopAll),
        any::<bool>().prop_map(Happening::Stages),
        (0..12usize).prop_map(Happening::Ready),
        (0..12usize, any::<bool>()).prop_map(|(place, success)| Happening::Exit(place, success)),
        (0..12usize).prop_map(Happening::Failing),
        (0..60_000u64).prop_map(Happening::Later),
        Just(Happening::Well),
    ]
}

impl World {
    fn happen(&mut self, happening: Happening) {
        let instances = self.instances();
        let instance = |place: usize| instances.get(place % instances.len().max(1)).cloned();
        match happening {
            Happening::Apply(specs) => self.state.apply(specs),
            Happening::Scale(place, wanted) => {
                let name = name(NAMES[place]);
                if self.state.services.get(&name).is_some_and(|it| wanted <= 1 || !it.spec.is_exclusive()) {
                    self.state.scale(&name, wanted);
                }
            }
            Happening::Restart(place) => self.state.restart(&name(NAMES[place])),
            Happening::Rebuild(place) => self.state.rebuild(&name(NAMES[place])),
            Happening::StopAll => self.state.stopping = true,
            Happening::Stages(success) => self.end_stages(success),
            Happening::Ready(place) => {
                if let Some((service, id, _)) = instance(place) {
                    self.state.ready(&service, id, self.now);
                }
            }
            Happening::Exit(place, success) => {
                if let Some((service, id, _)) = instance(place) {
                    self.exit(&service, id, Exit::Code(i32::from(!success)));
                }
            }
            Happening::Failing(place) => {
                if let Some((service, id, _)) = instance(place) {
                    self.state.failing(&service, id, self.now, 0.5);
                }
            }
            Happening::Later(milliseconds) => self.now += Duration::from_millis(milliseconds),
            Happening::Well => self.go_well(),
        }
        self.state.tidy();
        self.settle();
    }
}

proptest! {
    #[test]
    fn whatever_happens_it_never_does_too_much_and_comes_to_rest_when_all_goes_well(
        first in specs(), happenings in proptest::collection::vec(happening(), 0..40),
    ) {
        let mut world = World::new(first);
        happenings.into_iter().for_each(|happening| world.happen(happening));
        // What failed to build stays failed until somebody asks again.
        NAMES.iter().for_each(|text| world.state.rebuild(&name(text)));
        world.settle();
        let rounds = (0..40).take_while(|_| { let rest = world.is_at_rest(); world.go_well(); !rest }).count();
        prop_assert!(rounds < 40, "not at rest: {:#?}", world.state);
        prop_assert_eq!(decide(&world.state, world.now), vec![]);
    }
}

#[test]
fn a_service_waits_for_its_dependency_once_and_its_restart_does_not() {
    let mut top = spec("b");
    top.after = vec![Dependency { service: name("a"), until: Until::Ready }];
    let mut world = World::new(vec![spec("a"), top]);
    assert_eq!(waits_for(&world.state, &world.state.services["b"]), [(name("a"), Until::Ready)]);
    assert_eq!(world.instances().len(), 1);
    world.go_well();
    world.go_well();
    assert_eq!(world.instances().len(), 2);
    for (service, id, _) in world.instances() {
        world.exit(&service, id, Exit::Signal(9));
    }
    world.now += Duration::from_secs(1);
    world.settle();
    assert_eq!(world.instances().len(), 2, "both are started again at once");
}

#[test]
fn an_instance_that_failed_is_started_again_after_its_wait_and_not_before() {
    let mut world = World::new(vec![spec("a")]);
    world.go_well();
    let (service, id, _) = world.instances().remove(0);
    world.exit(&service, id, Exit::Code(1));
    world.settle();
    assert!(world.instances().is_empty());
    let wake = next_wake(&world.state, world.now).expect("a wait");
    assert!(wake - world.now <= Duration::from_millis(100));
    world.now = wake;
    world.settle();
    assert_eq!(world.instances().len(), 1);
    assert_eq!(next_wake(&world.state, world.now), None);
}

#[test]
fn everything_stops_dependants_first() {
    let mut top = spec("a");
    top.after = vec![Dependency { service: name("b"), until: Until::Started }];
    let mut world = World::new(vec![top, spec("b")]);
    world.go_well();
    world.go_well();
    world.state.stopping = true;
    world.settle();
    let stopping = |world: &World| {
        let all = world.instances().into_iter().filter(|(.., phase)| matches!(phase, Phase::Stopping { .. }));
        all.map(|(service, ..)| service.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(stopping(&world), ["a"]);
    world.go_well();
    assert_eq!(stopping(&world), ["b"]);
}
