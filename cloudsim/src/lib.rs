//! A simulator of the Alibaba Cloud CDN gateway and of OSS.
