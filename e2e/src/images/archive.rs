//! (pure) Images as bytes: the docker-archive format (moby, image/spec/v1.2.md), with nothing in it that changes from
//! one build to the next: no times, no owners, entries in a fixed order.

use std::io::Write;

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};
use serde_json::json;
use sha2::{Digest, Sha256};

/// An image FROM scratch: one program that is also the entrypoint.
#[derive(Debug, Clone)]
pub struct Image {
    /// Name and tag.
    pub name: String,
    /// The program's name, in the root folder.
    pub program: String,
    /// The program.
    pub binary: Vec<u8>,
    /// The user it runs as when the pod does not say; never root.
    pub user: u32,
}

/// `sha256:` and the hash of `bytes`, in hexadecimal.
pub fn digest_of(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter().fold(String::from("sha256:"), |text, byte| text + &format!("{byte:02x}"))
}

impl Image {
    /// The single layer, as a tar.
    fn layer(&self) -> Result<Vec<u8>> {
        let mut tar = tar::Builder::new(Vec::new());
        add(&mut tar, &self.program, 0o755, &self.binary)?;
        tar.into_inner().context("cannot write a layer")
    }

    /// The image configuration (OCI image-spec, config.md); its digest is the image's id.
    fn config(&self, layer: &[u8]) -> Vec<u8> {
        let user = self.user.to_string();
        let config = json!({
            "architecture": "amd64",
            "os": "linux",
            "config": {
                "User": format!("{user}:{user}"),
                "Entrypoint": [format!("/{}", self.program)],
                "WorkingDir": "/",
            },
            "rootfs": {"type": "layers", "diff_ids": [digest_of(layer)]},
        });
        config.to_string().into_bytes()
    }

    /// The image's id.
    pub fn digest(&self) -> Result<String> {
        Ok(digest_of(&self.config(&self.layer()?)))
    }
}

/// All `images` as one docker-archive.
pub(super) fn write(images: &[Image]) -> Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut manifest = Vec::new();
    for image in images {
        let layer = image.layer()?;
        let config = image.config(&layer);
        let (config_name, layer_name) = (file_name(&config, "json"), file_name(&layer, "tar.gz"));
        add(&mut tar, &config_name, 0o644, &config)?;
        add(&mut tar, &layer_name, 0o644, &compress(&layer)?)?;
        manifest.push(json!({"Config": config_name, "RepoTags": [image.name], "Layers": [layer_name]}));
    }
    add(&mut tar, "manifest.json", 0o644, serde_json::Value::from(manifest).to_string().as_bytes())?;
    tar.into_inner().context("cannot write an image archive")
}

/// The layer as registries keep it and nodes pull it.
fn compress(layer: &[u8]) -> Result<Vec<u8>> {
    let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::new(6));
    gzip.write_all(layer).and_then(|()| gzip.finish()).context("cannot compress a layer")
}

fn file_name(contents: &[u8], extension: &str) -> String {
    format!("{}.{extension}", digest_of(contents).trim_start_matches("sha256:"))
}

fn add(tar: &mut tar::Builder<Vec<u8>>, name: &str, mode: u32, contents: &[u8]) -> Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(contents.len() as u64);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    tar.append_data(&mut header, name, contents).with_context(|| format!("cannot add {name} to a tar"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(binary: &[u8]) -> Image {
        Image { name: "localhost/tulle/x:dev".into(), program: "x".into(), binary: binary.to_vec(), user: 65532 }
    }

    #[test]
    fn same_input_same_bytes_other_input_other_digest() {
        assert_eq!(write(&[image(b"one")]).expect("tar"), write(&[image(b"one")]).expect("tar"));
        assert_eq!(image(b"one").digest().expect("digest"), image(b"one").digest().expect("digest"));
        assert_ne!(image(b"one").digest().expect("digest"), image(b"two").digest().expect("digest"));
    }

    #[test]
    fn the_manifest_names_what_the_archive_holds() {
        let bytes = write(&[image(b"program")]).expect("tar");
        let mut files = std::collections::HashMap::new();
        for entry in tar::Archive::new(bytes.as_slice()).entries().expect("entries") {
            let mut entry = entry.expect("entry");
            assert_eq!((entry.header().mtime().expect("time"), entry.header().uid().expect("uid")), (0, 0));
            let mut contents = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut contents).expect("contents");
            files.insert(entry.path().expect("path").display().to_string(), contents);
        }
        let manifest: serde_json::Value = serde_json::from_slice(&files["manifest.json"]).expect("manifest");
        let name = |value: &serde_json::Value| value.as_str().expect("a name").to_owned();
        let config: serde_json::Value = serde_json::from_slice(&files[&name(&manifest[0]["Config"])]).expect("config");
        let layer = &files[&name(&manifest[0]["Layers"][0])];
        let mut unpacked = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(layer.as_slice()), &mut unpacked).expect("gzip");
        assert_eq!(config["rootfs"]["diff_ids"][0], digest_of(&unpacked));
        assert_eq!(config["config"]["User"], "65532:65532");
        assert_eq!(config["config"]["Entrypoint"][0], "/x");
    }
}
