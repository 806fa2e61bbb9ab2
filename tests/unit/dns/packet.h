#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <arpa/inet.h>
#include <arpa/nameser.h>

namespace mtastsd::dns::test {

using Bytes = std::vector<unsigned char>;

inline void put16(Bytes& out, unsigned value) {
  out.push_back(static_cast<unsigned char>(value >> 8));
  out.push_back(static_cast<unsigned char>(value));
}

inline void put32(Bytes& out, std::uint32_t value) {
  put16(out, value >> 16);
  put16(out, value & 0xffff);
}

inline void put_name(Bytes& out, std::string_view name) {
  while (!name.empty()) {
    const auto label = name.substr(0, name.find('.'));
    out.push_back(static_cast<unsigned char>(label.size()));
    out.insert(out.end(), label.begin(), label.end());
    name.remove_prefix(std::min(label.size() + 1, name.size()));
  }
  out.push_back(0);
}

inline Bytes name_bytes(std::string_view name) {
  Bytes out;
  put_name(out, name);
  return out;
}

// One string of up to 255 bytes for each argument.
inline Bytes txt_rdata(const std::vector<std::string>& strings) {
  Bytes out;
  for (const auto& s : strings) {
    out.push_back(static_cast<unsigned char>(s.size()));
    out.insert(out.end(), s.begin(), s.end());
  }
  return out;
}

inline Bytes a_rdata(const char* text) {
  Bytes out(4);
  inet_pton(AF_INET, text, out.data());
  return out;
}

inline Bytes aaaa_rdata(const char* text) {
  Bytes out(16);
  inet_pton(AF_INET6, text, out.data());
  return out;
}

inline Bytes soa_rdata(std::uint32_t minimum) {
  Bytes out = name_bytes("ns.example");
  put_name(out, "hostmaster.example");
  for (const std::uint32_t n : {1U, 7200U, 900U, 86400U, minimum}) {
    put32(out, n);
  }
  return out;
}

// Puts a response together: a header and a question, then records section by section.
class Packet {
 public:
  Packet(std::string_view qname, unsigned qtype, unsigned rcode = 0) : bytes_(NS_HFIXEDSZ) {
    bytes_[2] = 0x81;  // QR, RD
    bytes_[3] = static_cast<unsigned char>(0x80U | rcode);
    put_name(bytes_, qname);
    put16(bytes_, qtype);
    put16(bytes_, ns_c_in);
    bytes_[5] = 1;
  }

  Packet& id(unsigned id) {
    bytes_[0] = static_cast<unsigned char>(id >> 8);
    bytes_[1] = static_cast<unsigned char>(id);
    return *this;
  }
  Packet& truncated() {
    bytes_[2] |= 0x02;
    return *this;
  }
  Packet& authenticated() {
    bytes_[3] |= 0x20;
    return *this;
  }
  Packet& query() {
    bytes_[2] &= 0x7f;
    return *this;
  }
  Packet& answer(std::string_view owner, unsigned type, std::uint32_t ttl, const Bytes& rdata) {
    return record(6, owner, type, ttl, rdata);
  }
  Packet& authority(std::string_view owner, unsigned type, std::uint32_t ttl, const Bytes& rdata) {
    return record(8, owner, type, ttl, rdata);
  }
  Packet& additional(std::string_view owner, unsigned type, std::uint32_t ttl, const Bytes& rdata) {
    return record(10, owner, type, ttl, rdata);
  }
  Packet& txt(std::string_view owner, std::uint32_t ttl, const std::vector<std::string>& strings) {
    return answer(owner, ns_t_txt, ttl, txt_rdata(strings));
  }
  Packet& cname(std::string_view owner, std::uint32_t ttl, std::string_view target) {
    return answer(owner, ns_t_cname, ttl, name_bytes(target));
  }
  Packet& soa(std::uint32_t ttl, std::uint32_t minimum) {
    return authority("example", ns_t_soa, ttl, soa_rdata(minimum));
  }

  const Bytes& bytes() const { return bytes_; }

 private:
  Packet& record(std::size_t count_at, std::string_view owner, unsigned type, std::uint32_t ttl,
                 const Bytes& rdata) {
    const unsigned count = (bytes_[count_at] << 8U) + bytes_[count_at + 1] + 1U;
    bytes_[count_at] = static_cast<unsigned char>(count >> 8);
    bytes_[count_at + 1] = static_cast<unsigned char>(count);
    put_name(bytes_, owner);
    put16(bytes_, type);
    put16(bytes_, ns_c_in);
    put32(bytes_, ttl);
    put16(bytes_, static_cast<unsigned>(rdata.size()));
    bytes_.insert(bytes_.end(), rdata.begin(), rdata.end());
    return *this;
  }

  Bytes bytes_;
};

}  // namespace mtastsd::dns::test
