#include "html.h"

#include "mtastsd/base/text.h"

namespace mtastsd::web {

Html& Html::text(std::string_view text) {
  for (const char c : printable(text)) {
    switch (c) {
      case '&':
        text_ += "&amp;";
        break;
      case '<':
        text_ += "&lt;";
        break;
      case '>':
        text_ += "&gt;";
        break;
      case '"':
        text_ += "&quot;";
        break;
      case '\'':
        text_ += "&#39;";
        break;
      default:
        text_ += c;
    }
  }
  return *this;
}

}  // namespace mtastsd::web
