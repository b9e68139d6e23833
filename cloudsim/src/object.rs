//! Objects: bytes and what is said about them.

use std::{borrow::Cow, fmt::Write as _, io::Write as _, sync::LazyLock};

use bytes::Bytes;

use crate::body::{Body, Digests, Generated};

/// An object of the store.
#[derive(Debug, Clone)]
pub struct Object {
    /// Its bytes.
    pub body: Body,
    /// How the `ETag` looks.
    pub etag: EtagMode,
    /// Whether `x-oss-hash-crc64ecma` is sent.
    pub crc: bool,
    /// Whether `Content-MD5` is sent.
    pub content_md5: bool,
    /// The `Content-Type`.
    pub content_type: Cow<'static, str>,
    /// The `Content-Encoding` it is stored with.
    pub content_encoding: Option<Cow<'static, str>>,
    /// `x-oss-object-type`: Normal, Multipart, Appendable or Symlink.
    pub object_type: Cow<'static, str>,
}

/// How an `ETag` looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EtagMode {
    /// The MD5 in capitals, quoted, as after a simple put.
    Md5,
    /// 32 hex digits, a dash and the number of parts: not the MD5 of anything.
    Multipart(u32),
    /// This, quotes included if there shall be any.
    Text(String),
    /// No header.
    None,
}

impl Default for Object {
    /// A small CSV file.
    fn default() -> Self {
        // Its bytes are shared: a listing may have very many tasks.
        static SMALL: LazyLock<Object> = LazyLock::new(|| Object::csv(3));
        SMALL.clone()
    }
}

impl Object {
    /// Bytes of a type, all headers on.
    #[must_use]
    pub fn new(body: impl Into<Body>, content_type: impl Into<Cow<'static, str>>) -> Self {
        Self {
            body: body.into(),
            etag: EtagMode::Md5,
            crc: true,
            content_md5: false,
            content_type: content_type.into(),
            content_encoding: None,
            object_type: "Normal".into(),
        }
    }

    /// A CSV file: a byte order mark, a head line and so many rows.
    #[must_use]
    pub fn csv(rows: u64) -> Self {
        let mut text = String::from("\u{feff}Time,Domain,Region,Traffic(Byte)\r\n");
        for row in 0..rows {
            let (hour, minute) = (row / 12 % 24, row % 12 * 5);
            // Writing to a String cannot fail.
            let _ = write!(text, "2018-08-01 {hour:02}:{minute:02}:00,www.example.com,CN,{}\r\n", row * 7919);
        }
        Self::new(text.into_bytes(), "text/csv")
    }

    /// A workbook: a minimal zip that holds the two parts that make it one; the text makes it unlike others.
    #[must_use]
    pub fn xlsx(text: &str) -> Self {
        const TYPES: &str = "<?xml version=\"1.0\"?><Types xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\">\
             <Override PartName=\"/xl/workbook.xml\" \
             ContentType=\"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml\"/></Types>";
        let sheet = crate::text::xml_escape(text);
        let book = format!(
            "<?xml version=\"1.0\"?><workbook \
             xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\"><!-- {sheet} --></workbook>"
        );
        let bytes = zip(&[("[Content_Types].xml", TYPES.as_bytes()), ("xl/workbook.xml", book.as_bytes())]);
        Self::new(bytes, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")
    }

    /// A zip of one text file.
    #[must_use]
    pub fn zip(text: &str) -> Self {
        Self::new(zip(&[("export.csv", text.as_bytes())]), "application/zip")
    }

    /// A PDF, or what passes for one.
    #[must_use]
    pub fn pdf(text: &str) -> Self {
        let bytes = format!("%PDF-1.4\n1 0 obj\n<< /Title ({text}) >>\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%EOF\n");
        Self::new(bytes.into_bytes(), "application/pdf")
    }

    /// A text behind gzip, as a file of its own kind (not with `Content-Encoding`).
    #[must_use]
    pub fn gz(text: &str) -> Self {
        Self::new(gzip(text.as_bytes()), "application/gzip")
    }

    /// An old binary workbook, or at least its first bytes.
    #[must_use]
    pub fn xls(text: &str) -> Self {
        let mut bytes = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".to_vec();
        bytes.resize(512, 0);
        bytes.extend_from_slice(text.as_bytes());
        Self::new(bytes, "application/vnd.ms-excel")
    }

    /// A page where a file should be.
    #[must_use]
    pub fn html(text: &str) -> Self {
        let page = format!("<!DOCTYPE html>\n<html><head><title>{text}</title></head><body>{text}</body></html>\n");
        Self::new(page.into_bytes(), "text/html")
    }

    /// Bytes made on the fly. The `ETag` is that of a multipart upload, for an MD5 would cost as much as all the rest.
    #[must_use]
    pub fn generated(seed: u64, len: u64, kind: Generated) -> Self {
        let content_type = match kind {
            Generated::Noise => "application/octet-stream",
            Generated::Csv => "text/csv",
            Generated::Zip => "application/zip",
        };
        let mut object = Self::new(Body::Generated { seed, len, kind }, content_type);
        object.etag = EtagMode::Multipart(u32::try_from(len / (6 << 20) + 1).unwrap_or(u32::MAX));
        object.object_type = "Multipart".into();
        object
    }

    /// The same with another `ETag`.
    #[must_use]
    pub fn with_etag(mut self, etag: EtagMode) -> Self {
        self.etag = etag;
        self
    }

    /// The same with or without a CRC header.
    #[must_use]
    pub fn with_crc(mut self, crc: bool) -> Self {
        self.crc = crc;
        self
    }

    /// The same with or without a `Content-MD5` header.
    #[must_use]
    pub fn with_content_md5(mut self, content_md5: bool) -> Self {
        self.content_md5 = content_md5;
        self
    }

    /// The same with another `Content-Type`.
    #[must_use]
    pub fn with_content_type(mut self, content_type: impl Into<Cow<'static, str>>) -> Self {
        self.content_type = content_type.into();
        self
    }

    /// The same, said to be stored with a `Content-Encoding`; the bytes are as they are.
    #[must_use]
    pub fn with_content_encoding(mut self, encoding: impl Into<Cow<'static, str>>) -> Self {
        self.content_encoding = Some(encoding.into());
        self
    }

    /// The same with another `x-oss-object-type`.
    #[must_use]
    pub fn with_object_type(mut self, object_type: impl Into<Cow<'static, str>>) -> Self {
        self.object_type = object_type.into();
        self
    }

    /// Whether digesting needs the MD5.
    pub(crate) fn needs_md5(&self) -> bool {
        self.etag == EtagMode::Md5 || self.content_md5
    }

    /// The `ETag` header.
    pub(crate) fn etag_text(&self, digests: &Digests) -> Option<String> {
        match &self.etag {
            EtagMode::Md5 => Some(format!("\"{}\"", hex::encode_upper(digests.md5))),
            EtagMode::Multipart(parts) => Some(format!("\"{:016X}{:016X}-{parts}\"", digests.crc64, self.body.len())),
            EtagMode::Text(text) => Some(text.clone()),
            EtagMode::None => None,
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

/// Bytes behind gzip.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    // Writing to a Vec cannot fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

/// A zip of stored (uncompressed) entries.
fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut directory = Vec::new();
    let short = |n: usize| u16::try_from(n).unwrap_or(u16::MAX).to_le_bytes();
    let long = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes();
    for (name, bytes) in entries {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        // Version, flags, method, time, date (1 January 2018), CRC, both sizes, length of the name, no extra field.
        let mut common = vec![20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0x4c];
        common.extend(crc.sum().to_le_bytes());
        common.extend(long(bytes.len()));
        common.extend(long(bytes.len()));
        common.extend(short(name.len()));
        common.extend([0, 0]);
        directory.extend(b"PK\x01\x02\x14\0");
        directory.extend(&common);
        // No comment, disk 0, no attributes.
        directory.extend([0; 10]);
        directory.extend(long(out.len()));
        directory.extend(name.as_bytes());
        out.extend(b"PK\x03\x04");
        out.extend(&common);
        out.extend(name.as_bytes());
        out.extend(*bytes);
    }
    let start = out.len();
    out.extend(&directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend(short(entries.len()));
    out.extend(short(entries.len()));
    out.extend(long(directory.len()));
    out.extend(long(start));
    out.extend([0, 0]);
    out
}
