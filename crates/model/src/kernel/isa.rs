use std::sync::atomic::{AtomicU8, Ordering};

/// Instruction sets that a kernel exists for. All give the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isa {
    /// `f32::mul_add` and whatever the compiler makes of it (on aarch64 the vector `fmla`).
    Portable = 1,
    /// AVX2 with FMA and F16C.
    Avx2 = 2,
    /// AVX-512.
    Avx512 = 3,
}

static CHOSEN: AtomicU8 = AtomicU8::new(0);

/// The widest instruction set of this machine, or what a test chose.
pub(crate) fn isa() -> Isa {
    match CHOSEN.load(Ordering::Relaxed) {
        1 => Isa::Portable,
        2 => Isa::Avx2,
        3 => Isa::Avx512,
        _ => {
            let isa = widest();
            CHOSEN.store(isa as u8, Ordering::Relaxed);
            isa
        }
    }
}

/// Makes kernels run with `isa` from now on, if this machine has it. Other tests running meanwhile see no difference, as all give the same bits.
#[cfg(test)]
pub(crate) fn choose(isa: Isa) -> bool {
    let available = isa as u8 <= widest() as u8;
    if available {
        CHOSEN.store(isa as u8, Ordering::Relaxed);
    }
    available
}

#[cfg(target_arch = "x86_64")]
fn widest() -> Isa {
    let avx2 = is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c");
    let avx512 = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl");
    match (avx2, avx512) {
        (true, true) => Isa::Avx512,
        (true, false) => Isa::Avx2,
        _ => Isa::Portable,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn widest() -> Isa {
    Isa::Portable
}
