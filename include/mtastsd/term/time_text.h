#pragma once

#include "mtastsd/base/time_text.h"

namespace mtastsd::term {

using mtastsd::date_text;
using mtastsd::relative_text;
using mtastsd::span_text;

}  // namespace mtastsd::term
