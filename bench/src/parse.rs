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

/// Reads the output of `h2load`: requests that succeeded, or messages of `message` bytes.
pub(crate) fn h2load(output: &str, message: Option<usize>) -> Result<Seen> {
    let line = |start: &str| output.lines().find_map(|line| line.strip_prefix(start));
    let before = |text: &str, word: &str| {
        let rest = text.split(word).next()?.trim_end();
        rest.rsplit(|c: char| !c.is_ascii_digit()).next()?.parse::<u64>().ok()
    };
    let counts = line("requests:").context("h2load counted no requests")?;
    let count = |word: &str| before(counts, word).with_context(|| format!("h2load tells no {word}"));
    let time = line("finished in ").and_then(|rest| rest.split(',').next()).and_then(seconds);
    let traffic = line("traffic:").context("h2load counted no bytes")?;
    let bytes = before(traffic, ") data").context("h2load counted no bytes of bodies")?;
    let codes = line("status codes:").context("h2load counted no status codes")?;
    let refused = ["3xx", "4xx", "5xx"].iter().filter_map(|class| before(codes, &format!(" {class}"))).sum::<u64>();
    let succeeded = count(" succeeded")?;
    Ok(Seen {
        requests: message.map_or(succeeded, |message| bytes / message as u64),
        errors: count(" failed")? + refused,
        seconds: time.context("h2load tells no time")?,
        bytes,
        ..Seen::default()
    })
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

    const H2LOAD: &str = "
finished in 2.01s, 12300.50 req/s, 13.05MB/s
requests: 24601 total, 24861 started, 24601 done, 24600 succeeded, 1 failed, 1 errored, 0 timeout
status codes: 24598 2xx, 0 3xx, 1 4xx, 2 5xx
traffic: 26.10MB (27367104) total, 1.10MB (1153434) headers (space savings 70.10%), 24.02MB (25190400) data
                     min         max         mean         sd        +/- sd
time for request:      271us     33.31ms      1.29ms       690us    92.80%
";

    #[test]
    fn h2load_is_read_in_requests_or_in_messages() {
        let seen = h2load(H2LOAD, None).expect("as h2load prints");
        assert_eq!((seen.requests, seen.errors, seen.bytes), (24_600, 4, 25_190_400));
        assert!((seen.seconds - 2.01).abs() < 1e-9);
        assert_eq!(h2load(H2LOAD, Some(128)).expect("as above").requests, 196_800);
        assert!(h2load("could not connect", None).is_err());
    }

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
