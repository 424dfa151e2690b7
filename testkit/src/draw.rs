//! A deterministic sequence of pseudo-random numbers (SplitMix64, Steele et al. 2014).

pub struct Draw(pub u64);

impl Draw {
    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }

    pub fn one<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }

    /// Neighbours in the list, so that none is drawn twice.
    pub fn some<'a>(&mut self, list: &[&'a str], count: usize) -> Vec<&'a str> {
        let start = self.below(list.len());
        list.iter().cycle().skip(start).take(count).copied().collect()
    }
}
