//! (pure) What the load generators of others print.

use anyhow::{Context, Result};

use crate::load::Seen;

/// Reads the output of `wrk --latency`.
pub(crate) fn wrk(output: &str) -> Result<Seen> {
    let lines = || output.lines().map(str::trim);
    let total = lines().find(|line| line.contains(" requests in ")).context("wrk counted no requests")?;
    let (requests, rest) = total.split_once(" requests in ").context("wrk counted no requests")?;
    let time = rest.split(',').next().unwrap_or_default();
    let refused = lines().find_map(|line| line.strip_prefix("Non-2xx or 3xx responses:"));
    let broken = lines().find_map(|line| line.strip_prefix("Socket errors:"));
    let quantile = |name: &str| lines().find_map(|line| seconds(line.strip_prefix(name)?.trim()));
    let errors = refused.map_or(0, numbers) + broken.map_or(0, numbers);
    let mut seen = Seen {
        requests: requests.parse().context("wrk's count is no number")?,
        errors,
        seconds: seconds(time).context("wrk tells no time")?,
        ..Seen::default()
    };
    if let (Some(p50), Some(p90), Some(p99)) = (quantile("50%"), quantile("90%"), quantile("99%")) {
        seen.closed = Some([p50 * 1e6, p90 * 1e6, p99 * 1e6]);
    }
    Ok(seen)
}

/// The sum of all numbers in `text`.
fn numbers(text: &str) -> u64 {
    text.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse::<u64>().ok()).sum()
}

/// `1.50ms`, `20.00us`, `2.10s`, `1.2m` in seconds.
fn seconds(text: &str) -> Option<f64> {
    let unit = text.find(|c: char| c.is_ascii_alphabetic())?;
    let factor = match &text[unit..] {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        _ => return None,
    };
    Some(text[..unit].parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRK: &str = "Running 6s test @ http://10.201.0.1:8080/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     4.39ms    2.11ms  60.01ms   95.46%
    Req/Sec    14.73k     1.10k   16.50k    70.00%
  Latency Distribution
     50%    4.08ms
     75%    4.90ms
     90%  980.00us
     99%    1.20s
  88123 requests in 6.01s, 105.21MB read
  Socket errors: connect 0, read 3, write 1, timeout 2
  Non-2xx or 3xx responses: 5
Requests/sec:  14662.90
";

    #[test]
    fn wrk_is_read_with_its_units_and_errors() {
        let seen = wrk(WRK).expect("as wrk prints");
        assert_eq!((seen.requests, seen.errors), (88_123, 11));
        assert!((seen.seconds - 6.01).abs() < 1e-9);
        let closed = seen.closed.expect("percentiles");
        assert!(
            (closed[0] - 4080.0).abs() < 1e-6 && (closed[1] - 980.0).abs() < 1e-6 && (closed[2] - 1.2e6).abs() < 1e-3
        );
        assert!(wrk("unable to connect").is_err());
    }
}
