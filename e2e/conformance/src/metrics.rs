//! What a sidecar counts, as a scraper reads it.

use std::net::Ipv4Addr;

use anyhow::{Result, ensure};
use tulle_core::sidecar::HEALTH_PORT;
use tulle_e2e::http::{self, Machine, Request};

use crate::site::Pod;

/// One scrape of a sidecar.
#[derive(Debug, Clone)]
pub struct Metrics(String);

impl Metrics {
    /// Scrapes the sidecar of a pod.
    pub fn of(pod: &Pod) -> Result<Self> {
        let address = (Ipv4Addr::LOCALHOST, HEALTH_PORT).into();
        let answer = pod.run(|| http::exchange(&Machine, address, &Request::new("GET", "/metrics")))?;
        ensure!(answer.status == 200, "metrics answered {}", answer.status);
        Ok(Self(String::from_utf8_lossy(&answer.body).into_owned()))
    }

    /// Value of a metric without labels; `None`: there is none.
    pub fn plain(&self, name: &str) -> Option<f64> {
        let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.split(' ').next()?.parse().ok();
        self.0.lines().find_map(value)
    }

    /// Sum of the series of a metric that have all of these labels.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let value = |line: &str| {
            let (series, value) = line.split_once("} ")?;
            let (found, own) = series.split_once('{')?;
            let has = |(key, value): &(&str, &str)| own.split(',').any(|label| label == format!("{key}=\"{value}\""));
            if found == name && labels.iter().all(has) { value.split(' ').next()?.parse::<f64>().ok() } else { None }
        };
        self.0.lines().filter_map(value).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_chosen_by_name_and_labels() {
        let text = "# TYPE a counter\na_total{b=\"1\",c=\"x\"} 3\na_total{b=\"2\",c=\"x\"} 4\nab_total{b=\"1\"} 5\nd_total 6\n";
        let metrics = Metrics(text.to_owned());
        assert_eq!(metrics.sum("a_total", &[("c", "x")]), 7.0);
        assert_eq!(metrics.sum("a_total", &[("b", "2"), ("c", "x")]), 4.0);
        assert_eq!(metrics.sum("a_total", &[("c", "y")]), 0.0);
        assert_eq!((metrics.plain("d_total"), metrics.plain("a_total"), metrics.plain("d")), (Some(6.0), None, None));
    }
}
