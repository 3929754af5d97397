use openledger_train::{Coefficients, Moment};

/// One parameter's part of an update, recomputed from the state before it with the bits of training.
struct Update {
    /// `g`.
    g: f64,
    /// `m̂`.
    m_hat: f64,
    /// `1 / r`.
    inv_r: f64,
    /// `1 / r³`.
    inv_r3: f64,
}

impl Update {
    fn new(c: &Coefficients, g: f32, m: f32, v: f32) -> Self {
        let m_hat = (c.beta1 * m + c.gain1 * g) * c.correct1;
        let v_hat = (c.beta2 * v + c.gain2 * (g * g)) * c.correct2;
        let r2 = f64::from(v_hat) + f64::from(c.eps);
        let inv_r = 1.0 / r2.sqrt();
        Self { g: g.into(), m_hat: m_hat.into(), inv_r, inv_r3: inv_r / r2 }
    }
}

fn each_update(c: &Coefficients, moment: &Moment) -> impl Iterator<Item = Update> {
    let Moment { before, step } = moment;
    step.gradient.iter().zip(&before.m).zip(&before.v).map(|((&g, &m), &v)| Update::new(c, g, m, v))
}

/// Derivatives of `F` by the state after a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Adjoint {
    /// `∂F/∂θ`.
    pub theta: Vec<f64>,
    /// `∂F/∂m`.
    pub m: Vec<f64>,
    /// `∂F/∂v`.
    pub v: Vec<f64>,
}

impl Adjoint {
    /// The derivatives at the end of a run, where only `θ` matters.
    #[must_use]
    pub fn new(theta: Vec<f64>) -> Self {
        let zero = vec![0.0; theta.len()];
        Self { theta, m: zero.clone(), v: zero }
    }

    /// Goes back through the optimiser's update: all three become derivatives by the state before it, and `u = ∂F/∂g` is returned.
    /// What the batch gradient adds to `theta` is the caller's.
    ///
    /// # Panics
    /// When the moment has another number of parameters.
    pub fn through_update(&mut self, c: &Coefficients, moment: &Moment) -> Vec<f32> {
        assert_eq!(self.theta.len(), moment.step.gradient.len(), "an adjoint has one entry per parameter");
        let (lr, k1, k2) = (f64::from(c.lr), f64::from(c.correct1), f64::from(c.correct2));
        let (beta1, gain1) = (f64::from(c.beta1), f64::from(c.gain1));
        let (beta2, gain2) = (f64::from(c.beta2), f64::from(c.gain2));
        let keep = f64::from(c.keep);
        let mut direction = Vec::with_capacity(self.theta.len());
        let state = self.theta.iter_mut().zip(&mut self.m).zip(&mut self.v);
        for (((theta, m), v), x) in state.zip(each_update(c, moment)) {
            let mu = *m - *theta * lr * k1 * x.inv_r;
            let nu = *v + *theta * lr * x.m_hat * k2 * x.inv_r3 * 0.5;
            direction.push((gain1 * mu + 2.0 * gain2 * x.g * nu) as f32);
            *m = beta1 * mu;
            *v = beta2 * nu;
            *theta *= keep;
        }
        direction
    }
}

/// Derivatives of a state by the weight of one group of records.
#[derive(Clone, Debug, PartialEq)]
pub struct Tangent {
    /// `θ̇`.
    pub theta: Vec<f64>,
    /// `ṁ`.
    pub m: Vec<f64>,
    /// `v̇`.
    pub v: Vec<f64>,
}

impl Tangent {
    /// The tangent before the first step.
    #[must_use]
    pub fn new(parameters: usize) -> Self {
        Self { theta: vec![0.0; parameters], m: vec![0.0; parameters], v: vec![0.0; parameters] }
    }

    /// Goes forward through the optimiser's update, `gradient` being `ġ`.
    ///
    /// # Panics
    /// When one of the arguments has another number of parameters.
    pub fn through_update(&mut self, c: &Coefficients, moment: &Moment, gradient: &[f64]) {
        assert_eq!(self.theta.len(), moment.step.gradient.len(), "a tangent has one entry per parameter");
        assert_eq!(self.theta.len(), gradient.len(), "a tangent has one entry per parameter");
        let (lr, k1, k2) = (f64::from(c.lr), f64::from(c.correct1), f64::from(c.correct2));
        let (beta1, gain1) = (f64::from(c.beta1), f64::from(c.gain1));
        let (beta2, gain2) = (f64::from(c.beta2), f64::from(c.gain2));
        let keep = f64::from(c.keep);
        let state = self.theta.iter_mut().zip(&mut self.m).zip(&mut self.v);
        for ((((theta, m), v), x), &g_dot) in state.zip(each_update(c, moment)).zip(gradient) {
            *m = beta1 * *m + gain1 * g_dot;
            *v = beta2 * *v + 2.0 * gain2 * x.g * g_dot;
            let moved = lr * (0.5 * x.m_hat * k2 * *v * x.inv_r3 - k1 * *m * x.inv_r);
            *theta = keep * *theta + moved;
        }
    }
}
