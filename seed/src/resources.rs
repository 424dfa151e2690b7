//! Computes the resources of a run: `value` + `inputMultiplier` × the size of its input files (Seed 1.0.0,
//! "Resources").

use serde::Serialize;
use serde_json::Number;

use super::environment::{allocated_name, variable_name};
use super::model::ScalarResource;

/// Bytes of a MiB.
pub const MIB: u64 = 1024 * 1024;
/// Minimum memory of a container, in MiB; Seed CLI applies it too.
const LEAST_MEMORY: f64 = 4.0;
/// Maximum amount of any resource, 2^53: a larger one is a mistake, and doubles are exact for integers up to here.
const MOST: f64 = 9_007_199_254_740_992.0;

/// The resources that are known to executors in general.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ResourceKind {
    /// Cores.
    Cpus,
    /// MiB, rounded up.
    Mem,
    /// MiB.
    Disk,
    /// MiB, rounded up.
    SharedMem,
    /// Whole GPUs. Not part of the standard; supported by Seed CLI and Scale.
    Gpus,
    /// A resource specific to an executor.
    Other,
}

impl ResourceKind {
    /// The kind of a resource by its name, which is compared in normalised form.
    pub fn of(name: &str) -> Self {
        match variable_name(name).as_str() {
            "CPUS" => Self::Cpus,
            "MEM" => Self::Mem,
            "DISK" => Self::Disk,
            "SHAREDMEM" => Self::SharedMem,
            "GPUS" => Self::Gpus,
            _ => Self::Other,
        }
    }
}

/// The amount of one resource that a run is allocated.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceAllocation {
    /// The resource's name as spelled in the manifest.
    pub name: String,
    pub kind: ResourceKind,
    /// In the unit of the kind; finite and not negative.
    pub amount: f64,
}

impl ResourceAllocation {
    /// Computes the allocation of a run whose input files have `input_bytes` in total.
    ///
    /// # Errors
    /// The amount is negative, too large, or a fraction of a GPU.
    pub fn of(scalar: &ScalarResource, input_bytes: u64) -> Result<Self, BadAmount> {
        let bad = |why: &'static str| BadAmount { name: scalar.name.clone(), why };
        let number = |number: &Number| number.as_f64().unwrap_or(f64::NAN);
        let multiplier = scalar.input_multiplier.as_ref().map_or(0.0, number);
        let sum = multiplier.mul_add(input_bytes as f64 / MIB as f64, number(&scalar.value));
        let kind = ResourceKind::of(&scalar.name);
        let amount = match kind {
            _ if !sum.is_finite() || sum > MOST => return Err(bad("is more than there can be")),
            _ if sum < 0.0 => return Err(bad("is less than nothing")),
            ResourceKind::Gpus if sum.fract() != 0.0 => {
                return Err(bad("is no whole number, and a GPU cannot be divided"));
            }
            ResourceKind::Mem => sum.ceil().max(LEAST_MEMORY),
            ResourceKind::SharedMem => sum.ceil(),
            ResourceKind::Cpus | ResourceKind::Disk | ResourceKind::Gpus | ResourceKind::Other => sum,
        };
        // Turns -0.0 into 0.0.
        Ok(Self { name: scalar.name.clone(), kind, amount: amount + 0.0 })
    }

    /// The environment variable with the amount.
    pub fn variable(&self) -> String {
        allocated_name(&self.name)
    }

    /// The content of the variable. Formatted as by Seed CLI, since jobs may compare it as a text: six decimals, but
    /// none for `mem`, `sharedMem` and `gpus`.
    pub fn text(&self) -> String {
        match self.kind {
            ResourceKind::Mem | ResourceKind::SharedMem | ResourceKind::Gpus => format!("{:.0}", self.amount),
            ResourceKind::Cpus | ResourceKind::Disk | ResourceKind::Other => format!("{:.6}", self.amount),
        }
    }

    /// The amount as formatted by Scale: with one decimal.
    pub fn scale_text(&self) -> String {
        format!("{:.1}", self.amount)
    }
}

/// The manifest requests an impossible amount of a resource.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what the manifest asks of {name} {why}")]
pub struct BadAmount {
    pub name: String,
    why: &'static str,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn allocated(scalar: Value, input_bytes: u64) -> Result<ResourceAllocation, BadAmount> {
        ResourceAllocation::of(&serde_json::from_value(scalar).expect("a scalar"), input_bytes)
    }

    #[test]
    fn numbers_are_spelled_as_the_old_command_line_did() {
        let table = [
            (json!({"name": "cpus", "value": 0.1}), 0, "ALLOCATED_CPUS", "0.100000", "0.1"),
            (json!({"name": "cpus", "value": 1}), 0, "ALLOCATED_CPUS", "1.000000", "1.0"),
            (json!({"name": "mem", "value": 1024}), 0, "ALLOCATED_MEM", "1024", "1024.0"),
            (json!({"name": "mem", "value": 1}), 0, "ALLOCATED_MEM", "4", "4.0"),
            (json!({"name": "MEM", "value": 256, "inputMultiplier": 4.0}), 1, "ALLOCATED_MEM", "257", "257.0"),
            (json!({"name": "disk", "value": 1, "inputMultiplier": 1.0}), 24, "ALLOCATED_DISK", "1.000023", "1.0"),
            (json!({"name": "sharedmem", "value": 0.5}), 0, "ALLOCATED_SHAREDMEM", "1", "1.0"),
            (json!({"name": "sharedMem", "value": 0}), 0, "ALLOCATED_SHAREDMEM", "0", "0.0"),
            (json!({"name": "gpus", "value": 2.0}), 0, "ALLOCATED_GPUS", "2", "2.0"),
            (json!({"name": "fpga-s", "value": 3}), 0, "ALLOCATED_FPGA_S", "3.000000", "3.0"),
            (json!({"name": "disk", "value": -0.0}), 0, "ALLOCATED_DISK", "0.000000", "0.0"),
        ];
        for (scalar, input, variable, text, scale) in table {
            let allocation = allocated(scalar.clone(), input).expect("it can be");
            let found = (allocation.variable(), allocation.text(), allocation.scale_text());
            assert_eq!((&*found.0, &*found.1, &*found.2), (variable, text, scale), "{scalar}");
        }
    }

    #[test]
    fn the_size_of_the_input_counts_in_mib() {
        let disk = allocated(json!({"name": "disk", "value": 10, "inputMultiplier": 2}), 5 * MIB).expect("it can be");
        assert_eq!(disk.amount, 20.0);
    }

    #[test]
    fn amounts_that_cannot_be_are_refused() {
        for (scalar, why) in [
            (json!({"name": "mem", "value": -1}), "what the manifest asks of mem is less than nothing"),
            (json!({"name": "mem", "value": 1e300}), "what the manifest asks of mem is more than there can be"),
            (
                json!({"name": "gpus", "value": 0.5}),
                "what the manifest asks of gpus is no whole number, and a GPU cannot be divided",
            ),
            (
                json!({"name": "x", "value": 1, "inputMultiplier": 1e308}),
                "what the manifest asks of x is more than there can be",
            ),
        ] {
            assert_eq!(allocated(scalar, u64::MAX).expect_err("it cannot be").to_string(), why);
        }
    }
}
