use crate::{Result, Run, State, Step, Transcript};

/// The states of a finished run, recomputed from its transcript without the model.
///
/// Held in memory are the states at every `√T`-th step and those of one segment between two of them, so a walk in either
/// direction costs one more elementwise pass and `O(√T)` memory.
#[derive(Debug)]
pub struct Trajectory<'a> {
    run: &'a Run,
    transcript: Transcript,
    stride: usize,
    marks: Vec<State>,
    last: State,
    segment: Vec<Moment>,
    loaded: Option<usize>,
}

/// A step with the state it starts from.
#[derive(Clone, Debug, PartialEq)]
pub struct Moment {
    /// `θ`, `m`, `v` before the step.
    pub before: State,
    /// Loss and gradient of the step.
    pub step: Step,
}

impl<'a> Trajectory<'a> {
    /// Walks through the whole run once.
    ///
    /// # Errors
    /// [`crate::Error::OtherRun`] when the transcript is not of this run; those of [`Transcript::step`].
    pub fn new(run: &'a Run, mut transcript: Transcript, weights: Option<&[f32]>) -> Result<Self> {
        transcript.expect_of(&run.header(weights)?)?;
        let steps = run.steps();
        let stride = steps.isqrt().max(1);
        let mut marks = Vec::new();
        let mut state = State::new(run.initial());
        for t in 0..steps {
            if t % stride == 0 {
                marks.push(state.clone());
            }
            let step = transcript.step(t)?;
            state.advance(&run.coefficients(t), &step.gradient);
        }
        Ok(Self { run, transcript, stride, marks, last: state, segment: Vec::new(), loaded: None })
    }

    /// The run.
    #[must_use]
    pub fn run(&self) -> &'a Run {
        self.run
    }

    /// The transcript it walks along.
    #[must_use]
    pub fn transcript(&self) -> &Transcript {
        &self.transcript
    }

    /// The state after the last step.
    #[must_use]
    pub fn last(&self) -> &State {
        &self.last
    }

    /// A step with the state before it.
    ///
    /// # Errors
    /// Those of [`Transcript::step`].
    ///
    /// # Panics
    /// When the run has no such step.
    pub fn moment(&mut self, step: usize) -> Result<&Moment> {
        assert!(step < self.run.steps(), "step {step} of a run of {}", self.run.steps());
        let segment = step / self.stride;
        if self.loaded != Some(segment) {
            self.load(segment)?;
        }
        Ok(&self.segment[step % self.stride])
    }

    fn load(&mut self, segment: usize) -> Result<()> {
        self.loaded = None;
        self.segment.clear();
        let from = segment * self.stride;
        let to = (from + self.stride).min(self.run.steps());
        let mut state = self.marks[segment].clone();
        for t in from..to {
            let step = self.transcript.step(t)?;
            let before = state.clone();
            state.advance(&self.run.coefficients(t), &step.gradient);
            self.segment.push(Moment { before, step });
        }
        self.loaded = Some(segment);
        Ok(())
    }
}
