//! How often messages are lost, late or repeated.

use crate::rng::Rng;

/// The rates of the faults that nobody orders. Rates are in permille of all messages, times in
/// milliseconds, lowest and highest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkWeather {
    /// Messages between nodes that never arrive.
    pub lost: u32,
    /// Messages that are late by [`NetworkWeather::late_ms`].
    pub late: u32,
    /// How late such a message is.
    pub late_ms: (u64, u64),
    /// Messages that are late by [`NetworkWeather::very_late_ms`].
    pub very_late: u32,
    /// How late such a message is: longer than the engine waits.
    pub very_late_ms: (u64, u64),
    /// Messages that arrive a second time, late.
    pub twice: u32,
    /// Statements that never reach their coordinator, and answers that never reach the client.
    pub client_lost: u32,
    /// Statements and answers that are late by [`NetworkWeather::late_ms`].
    pub client_late: u32,
    /// Statements and answers that are late by [`NetworkWeather::client_very_late_ms`].
    pub client_very_late: u32,
    /// How late these are: about as long as a client waits. A coordinator may so begin a statement
    /// whose client has sent it again, or has given up.
    pub client_very_late_ms: (u64, u64),
    /// Mutations without an acknowledgement that their coordinator delivers later: the rest are
    /// left to repair.
    pub hinted: u32,
    /// How much later.
    pub hint_ms: (u64, u64),
    /// After which time the others notice that a node is down, or that it is back.
    pub noticed_ms: (u64, u64),
}

impl NetworkWeather {
    /// Every message arrives at once.
    pub fn calm() -> NetworkWeather {
        NetworkWeather::default()
    }

    /// Any weather. Each seed leaves out some kinds of faults, so that the others mix without them.
    pub fn drawn(rng: &mut Rng) -> NetworkWeather {
        let mut rate = |most: u64| {
            let high = rng.between(1, most);
            let rate = if rng.chance(500) { rng.below(high + 1) } else { 0 };
            u32::try_from(rate).unwrap_or_default()
        };
        let (lost, late, very_late, twice) = (rate(60), rate(200), rate(30), rate(60));
        let (client_lost, client_late, hinted) = (rate(20), rate(100), rate(1_000));
        let client_very_late = rate(60);
        NetworkWeather {
            lost,
            late,
            late_ms: (2, rng.between(10, 400)),
            very_late,
            very_late_ms: (500, rng.between(3_000, 60_000)),
            twice,
            client_lost,
            client_late,
            client_very_late,
            client_very_late_ms: (500, rng.between(3_500, 12_000)),
            hinted,
            hint_ms: (100, rng.between(1_000, 30_000)),
            noticed_ms: (10, rng.between(100, 8_000)),
        }
    }

    /// Whether it loses and delays nothing.
    pub fn is_calm(&self) -> bool {
        let rates = [self.lost, self.late, self.very_late, self.twice];
        let client = [self.client_lost, self.client_late, self.client_very_late];
        rates.iter().chain(&client).all(|rate| *rate == 0)
    }

    /// How late a message between two nodes is; `None` if it is lost.
    pub(super) fn delay(&self, rng: &mut Rng) -> Option<u64> {
        let drawn = u32::try_from(rng.below(1_000)).unwrap_or_default();
        if drawn < self.lost {
            None
        } else if drawn < self.lost + self.very_late {
            Some(within(self.very_late_ms, rng))
        } else if drawn < self.lost + self.very_late + self.late {
            Some(within(self.late_ms, rng))
        } else {
            Some(0)
        }
    }

    /// The same for a message between a client and its coordinator.
    pub(super) fn client_delay(&self, rng: &mut Rng) -> Option<u64> {
        let drawn = u32::try_from(rng.below(1_000)).unwrap_or_default();
        if drawn < self.client_lost {
            None
        } else if drawn < self.client_lost + self.client_very_late {
            Some(within(self.client_very_late_ms, rng))
        } else if drawn < self.client_lost + self.client_very_late + self.client_late {
            Some(within(self.late_ms, rng))
        } else {
            Some(0)
        }
    }
}

/// A number of milliseconds from a range.
pub(super) fn within((low, high): (u64, u64), rng: &mut Rng) -> u64 {
    rng.between(low, high.max(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calm_weather_delays_nothing() {
        let mut rng = Rng::new(1);
        assert!(NetworkWeather::calm().is_calm());
        assert!((0..200).all(|_| NetworkWeather::calm().delay(&mut rng) == Some(0)));
        assert!((0..200).all(|_| NetworkWeather::calm().client_delay(&mut rng) == Some(0)));
    }

    #[test]
    fn bad_weather_loses_and_delays() {
        let weather =
            NetworkWeather { lost: 300, late: 300, late_ms: (5, 9), ..NetworkWeather::calm() };
        let mut rng = Rng::new(2);
        let drawn: Vec<_> = (0..500).map(|_| weather.delay(&mut rng)).collect();
        assert!(drawn.contains(&None) && drawn.contains(&Some(0)) && drawn.contains(&Some(7)));
        assert!(drawn.iter().flatten().all(|ms| *ms == 0 || (5..=9).contains(ms)));
    }
}
