//! What a published file is called.

/// What the bytes are, whatever name or type the server gives. Decides the extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentKind {
    /// Office Open XML workbook.
    Xlsx,
    /// Compound-file workbook.
    Xls,
    /// Delimited text.
    Csv,
    /// PDF.
    Pdf,
    /// Any other zip archive.
    Zip,
    /// gzip.
    Gz,
    /// Text that is not delimited.
    Txt,
    /// Anything else.
    Bin,
}

impl ContentKind {
    /// The extension, without its dot.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Xlsx => "xlsx",
            Self::Xls => "xls",
            Self::Csv => "csv",
            Self::Pdf => "pdf",
            Self::Zip => "zip",
            Self::Gz => "gz",
            Self::Txt => "txt",
            Self::Bin => "bin",
        }
    }
}
