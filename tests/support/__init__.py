"""What tests share: certificates, joined streams and transcripts."""
