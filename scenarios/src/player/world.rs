//! What the world does in a story: at once, or when a moment of the protocol comes, beside the steps that follow.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use super::{Missed, fault, scene::Scene};
use crate::{
    armed::Armed,
    fault::{Fault, FaultKind, Moment, Pass, Triggered},
    liar::Direction,
    outage::{ClockJump, DiskState, Outage, Stop},
    script::{Conditions, Place, Placed, Script, Step, WorldVerb},
    stage::{LocalFuture, Stage},
    verdict::Halt,
};

/// What befalls the broker.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Outage(Outage),
    Disk(DiskState),
    Clock(ClockJump),
}

impl Deed {
    fn of(verb: &WorldVerb) -> Option<Deed> {
        let outage = |how: Stop, down: Duration| Some(Deed::Outage(Outage { how, down }));
        match verb {
            WorldVerb::Restart(words) => outage(Stop::Restart, words.down.0),
            WorldVerb::Crash(words) => outage(Stop::Crash, words.down.0),
            WorldVerb::PowerLoss(words) => outage(Stop::PowerLoss, words.down.0),
            WorldVerb::Disk(state) => Some(Deed::Disk((*state).into())),
            WorldVerb::ClockJump(jump) => Some(Deed::Clock((*jump).into())),
            _ => None,
        }
    }

    fn words(self) -> String {
        match self {
            Deed::Outage(outage) => outage.to_string(),
            Deed::Disk(state) => state.to_string(),
            Deed::Clock(jump) => jump.to_string(),
        }
    }

    async fn carry_out(self, stage: &Stage) -> Result<(), String> {
        match self {
            Deed::Outage(outage) => stage.world().outage(outage).await,
            Deed::Disk(state) => stage.world().set_disk(state),
            Deed::Clock(jump) => stage.world().set_clock(jump),
        }
    }
}

/// Something that the world does when its moment comes.
pub(super) struct Pending {
    armed: Armed,
    /// What befalls the broker then; the links see to their own faults.
    deed: Option<(Deed, String)>,
    place: Place,
    future: LocalFuture<'static, Result<(), Missed>>,
    done: bool,
}

impl Pending {
    fn new(
        stage: Stage,
        struck: Rc<Cell<Duration>>,
        moment: &Moment,
        deed: Option<Deed>,
        armed: Armed,
        place: Place,
    ) -> Self {
        let has_to_arrive = moment.on.direction == Direction::ToServer && moment.pass == Pass::After;
        let waited = armed.clone();
        let future = Box::pin(async move {
            let came = waited.wait().await;
            struck.set(came);
            let Some(deed) = deed else { return Ok(()) };
            if has_to_arrive {
                let distance = stage.world().distance();
                stage.world().sleep_until(came + distance).await;
            }
            let outcome = deed.carry_out(&stage).await;
            struck.set(stage.now());
            outcome.map_err(|reason| Missed { halt: Halt::inconclusive(reason), place })
        });
        let deed = deed.map(|deed| (deed, format!("{}, {moment}", deed.words())));
        Pending { armed, deed, place, future, done: false }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Result<(), Missed> {
        if self.done {
            return Ok(());
        }
        match self.future.as_mut().poll(context) {
            Poll::Pending => Ok(()),
            Poll::Ready(outcome) => {
                self.done = true;
                outcome
            }
        }
    }
}

/// Plays a story with what waits for its moment beside it, and what of that has begun to its end.
pub(super) async fn beside(scene: &Scene<'_>, story: impl Future<Output = Result<(), Missed>>) -> Result<(), Missed> {
    let poll_pending = |context: &mut Context<'_>| -> Result<(), Missed> {
        scene.pending.borrow_mut().iter_mut().try_for_each(|pending| pending.poll(context))
    };
    let mut story = std::pin::pin!(story);
    poll_fn(|context| {
        // What strikes comes before those who are struck go on.
        if let Err(missed) = poll_pending(context) {
            return Poll::Ready(Err(missed));
        }
        let told = story.as_mut().poll(context);
        // The story may have put something new in place.
        match (told, poll_pending(context)) {
            (Poll::Ready(Err(missed)), _) | (_, Err(missed)) => Poll::Ready(Err(missed)),
            (told, Ok(())) => told,
        }
    })
    .await?;
    poll_fn(|context| {
        if let Err(missed) = poll_pending(context) {
            return Poll::Ready(Err(missed));
        }
        let begun = |pending: &Pending| pending.armed.came().is_some() && !pending.done;
        if scene.pending.borrow().iter().any(begun) { Poll::Pending } else { Poll::Ready(Ok(())) }
    })
    .await
}

/// What was to befall the broker at a moment that never came.
pub(super) fn deed_untouched(scene: &Scene<'_>) -> Result<(), Missed> {
    for pending in scene.pending.borrow().iter() {
        if let (Some((_, words)), None) = (&pending.deed, pending.armed.came()) {
            let halt = Halt::fail(format!("this touched nothing: {words}: its moment never came"));
            return Err(Missed { halt, place: pending.place });
        }
    }
    Ok(())
}

/// As long as it takes, with good links, until everything has arrived that is owed.
const CALM: Duration = Duration::from_secs(30);

/// Nothing goes wrong any more, and what is owed has time to arrive. A link that is dead stays so until its client has noticed: thrice
/// the Keep Alive is more than that takes.
pub(super) async fn calm(scene: &Scene<'_>, script: &Script) {
    scene.stage.pass(3 * Duration::from_secs(script.longest_keep_alive().into())).await;
    let heal = fault_on("all", FaultKind::Heal { reset: false });
    // There may be nothing to heal, and nobody with a connection.
    let _ = scene.stage.world().apply(&heal).await;
    scene.stage.pass(CALM).await;
}

/// How a link is from the start.
pub(super) async fn begin(scene: &Scene<'_>, link: &Placed<String>, conditions: &Conditions) -> Result<(), Missed> {
    for kind in conditions.faults() {
        put(scene, &link.value, kind, link.place).await?;
    }
    Ok(())
}

/// One step of the world.
pub(super) async fn act(scene: &Scene<'_>, step: &Step, verb: &Placed<WorldVerb>) -> Result<(), Missed> {
    if let WorldVerb::Wait(time) = &verb.value {
        scene.stage.pass(time.0).await;
        return Ok(());
    }
    if let Some(on) = &step.on {
        let moment = on.value.moment().expect("a script is checked: a moment names its packet and its actor");
        return arm(scene, &moment, verb);
    }
    if let Some(deed) = Deed::of(&verb.value) {
        let outcome = deed.carry_out(scene.stage).await;
        scene.struck();
        return outcome.map_err(|reason| Missed { halt: Halt::inconclusive(reason), place: verb.place });
    }
    let (link, kind) = fault(&verb.value).expect("what befalls neither the broker nor a link is a wait");
    put(scene, &link.value, kind, verb.place).await
}

/// Has it wait for its moment; the story goes on.
fn arm(scene: &Scene<'_>, moment: &Moment, verb: &Placed<WorldVerb>) -> Result<(), Missed> {
    let deed = Deed::of(&verb.value);
    let what = match (deed, fault(&verb.value)) {
        (_, Some((link, kind))) => {
            let fault = fault_on(&link.value, kind);
            scene.awaited(&fault, moment, verb.place);
            Triggered::Fault(fault)
        }
        (Some(Deed::Outage(_)), None) => Triggered::Outage,
        (_, None) => Triggered::Signal,
    };
    let armed = scene.stage.world().arm(moment, what);
    let armed = armed.map_err(|reason| Missed { halt: Halt::inconclusive(reason), place: verb.place })?;
    let pending = Pending::new(scene.stage.clone(), scene.last_fault(), moment, deed, armed, verb.place);
    scene.pending.borrow_mut().push(pending);
    Ok(())
}

fn fault_on(link: &str, kind: FaultKind) -> Fault {
    Fault { actor: (link != "all").then(|| link.to_owned()), kind }
}

/// Puts a fault in place, and keeps the line that asked for it.
async fn put(scene: &Scene<'_>, link: &str, kind: FaultKind, place: Place) -> Result<(), Missed> {
    let fault = fault_on(link, kind);
    scene.faulted(&fault, place);
    let applied = scene.stage.world().apply(&fault).await;
    applied.map_err(|reason| Missed { halt: Halt::inconclusive(reason), place })
}
