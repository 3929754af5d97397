//! One EVM per block: the rules of [`SPEC`](crate::env::SPEC), Ethereum's precompiles and the protocol's modules.

use alloy_evm::eth::{EthEvmBuilder, EthEvmContext};
use alloy_evm::precompiles::PrecompilesMap;
use alloy_evm::{EthEvm, Evm, EvmEnv};
use revm::Inspector;
use revm::context::TxEnv;
use revm::context::result::{ExecutionResult, ResultAndState};
use revm::context_interface::JournalTr;
use revm::inspector::NoOpInspector;
use revm::precompile::{PrecompileSpecId, Precompiles};

use crate::env::SPEC;
use crate::error::Failure;
use crate::overlay::Overlay;
use crate::precompiles;

/// Ethereum's precompiles and the modules.
pub(crate) fn precompiles() -> PrecompilesMap {
    let mut map = PrecompilesMap::from_static(Precompiles::new(PrecompileSpecId::from_spec_id(SPEC)));
    map.extend_precompiles(precompiles::modules());
    map
}

/// An EVM over a block's overlay.
pub(crate) struct BlockEvm<'s, I = NoOpInspector> {
    evm: EthEvm<Overlay<'s>, I, PrecompilesMap>,
    base_fee: u64,
}

impl<'s> BlockEvm<'s> {
    pub(crate) fn new(env: EvmEnv, overlay: Overlay<'s>) -> Self {
        Self::with_precompiles(env, overlay, precompiles())
    }

    /// With other precompiles than a block has.
    pub(crate) fn with_precompiles(env: EvmEnv, overlay: Overlay<'s>, precompiles: PrecompilesMap) -> Self {
        let base_fee = env.block_env.basefee;
        Self { evm: EthEvmBuilder::new(overlay, env).precompiles(precompiles).build(), base_fee }
    }
}

impl<'s, I: Inspector<EthEvmContext<Overlay<'s>>>> BlockEvm<'s, I> {
    /// An EVM that tells `inspector` every step.
    pub(crate) fn inspected(
        env: EvmEnv,
        overlay: Overlay<'s>,
        precompiles: PrecompilesMap,
        inspector: I,
    ) -> Self {
        let base_fee = env.block_env.basefee;
        let builder = EthEvmBuilder::new(overlay, env).precompiles(precompiles);
        Self { evm: builder.activate_inspector(inspector).build(), base_fee }
    }

    /// Runs a transaction and leaves its changes uncommitted.
    pub(crate) fn run(&mut self, tx: TxEnv) -> Result<ResultAndState, Failure> {
        let gas_limit = tx.gas_limit;
        self.evm.transact_raw(tx).map_err(|error| {
            // A refused transaction leaves loaded accounts in the journal. They must not be warm for the next one:
            // who verifies the block never sees the refused one.
            self.evm.ctx_mut().journaled_state.finalize();
            let base_fee = self.base_fee;
            Failure::new(error, self.evm.db_mut(), base_fee, gas_limit)
        })
    }

    /// Runs a transaction and commits its changes.
    pub(crate) fn run_and_commit(&mut self, tx: TxEnv) -> Result<ExecutionResult, Failure> {
        let ResultAndState { result, state } = self.run(tx)?;
        self.evm.db_mut().commit(state).map_err(Failure::System)?;
        Ok(result)
    }

    /// Whether the inspector is told.
    pub(crate) fn inspect(&mut self, enabled: bool) {
        self.evm.set_inspector_enabled(enabled);
    }

    pub(crate) fn overlay_and_inspector(&mut self) -> (&mut Overlay<'s>, &mut I) {
        let (overlay, inspector, _) = self.evm.components_mut();
        (overlay, inspector)
    }

    pub(crate) fn into_inspector(self) -> I {
        self.evm.into_inner().inspector
    }

    pub(crate) fn into_overlay(self) -> Overlay<'s> {
        self.evm.finish().0
    }
}
