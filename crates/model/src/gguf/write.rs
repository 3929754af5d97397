use super::{ALIGNMENT, MAGIC};

/// Builds a GGUF version 3 file with F32 tensors.
#[derive(Default)]
pub(crate) struct Writer {
    entries: Vec<u8>,
    entry_count: u64,
    table: Vec<u8>,
    tensor_count: u64,
    data: Vec<u8>,
}

impl Writer {
    fn entry(&mut self, key: &str, kind: u32) -> &mut Vec<u8> {
        put_text(&mut self.entries, key);
        self.entries.extend(kind.to_le_bytes());
        self.entry_count += 1;
        &mut self.entries
    }

    pub(crate) fn unsigned(&mut self, key: &str, value: u32) {
        self.entry(key, 4).extend(value.to_le_bytes());
    }

    pub(crate) fn float(&mut self, key: &str, value: f32) {
        self.entry(key, 6).extend(value.to_le_bytes());
    }

    pub(crate) fn bool(&mut self, key: &str, value: bool) {
        self.entry(key, 7).push(value.into());
    }

    pub(crate) fn text(&mut self, key: &str, value: &str) {
        put_text(self.entry(key, 8), value);
    }

    pub(crate) fn texts<'a>(&mut self, key: &str, values: impl ExactSizeIterator<Item = &'a str>) {
        let out = self.entry(key, 9);
        out.extend(8u32.to_le_bytes());
        out.extend((values.len() as u64).to_le_bytes());
        for value in values {
            put_text(out, value);
        }
    }

    pub(crate) fn signeds(&mut self, key: &str, values: impl ExactSizeIterator<Item = i32>) {
        let out = self.entry(key, 9);
        out.extend(5u32.to_le_bytes());
        out.extend((values.len() as u64).to_le_bytes());
        out.extend(values.flat_map(i32::to_le_bytes));
    }

    /// A tensor; `dims` has the innermost dimension first.
    pub(crate) fn tensor(&mut self, name: &str, dims: &[usize], values: &[f32]) {
        put_text(&mut self.table, name);
        self.table.extend((dims.len() as u32).to_le_bytes());
        for dim in dims {
            self.table.extend((*dim as u64).to_le_bytes());
        }
        self.table.extend(0u32.to_le_bytes());
        self.table.extend((self.data.len() as u64).to_le_bytes());
        self.data.extend(values.iter().flat_map(|x| x.to_le_bytes()));
        self.data.resize(self.data.len().next_multiple_of(ALIGNMENT), 0);
        self.tensor_count += 1;
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend(3u32.to_le_bytes());
        out.extend(self.tensor_count.to_le_bytes());
        out.extend(self.entry_count.to_le_bytes());
        out.extend(self.entries);
        out.extend(self.table);
        out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
        out.extend(self.data);
        out
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}
