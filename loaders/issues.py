"""Every issue a load can raise: its severity, what it says and what the person can do.

Templates may use ``{sheet}``, ``{row}``, ``{column}``, ``{value}`` (filled from the issue's own
place in the file) and further names, which the caller gives as params.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from string import Formatter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loaders.model import Cells, Issue, IssueBlock, Severity

OWN_FIELDS = frozenset({"sheet", "row", "column", "value"})


@dataclass(frozen=True, slots=True)
class IssueCode:
    """One entry of the registry; ``remedy`` says what to do and may be empty only for info."""

    severity: Severity
    message: str
    message_en: str
    remedy: str
    remedy_en: str

    @property
    def template(self) -> str:
        """The whole Chinese text with its places to fill."""
        return self.message + self.remedy

    @property
    def template_en(self) -> str:
        """The whole English text with its places to fill."""
        return f"{self.message_en} {self.remedy_en}".strip()

    @property
    def params(self) -> frozenset[str]:
        """The names a caller must give."""
        return _names(self.template) | _names(self.template_en)


@cache
def _names(template: str) -> frozenset[str]:
    names = {name for _, name, _, _ in Formatter().parse(template) if name}
    return frozenset(names - OWN_FIELDS)


_ERROR, _WARNING, _INFO = Severity.ERROR, Severity.WARNING, Severity.INFO

CODES: dict[str, IssueCode] = {
    # The file as a whole.
    "FILE_UNREADABLE": IssueCode(
        _ERROR,
        "文件无法读取：{detail}。",
        "The file cannot be read: {detail}.",
        "文件可能不完整或已损坏，请重新导出或重新拷贝后再试。",
        "It may be truncated or damaged; export or copy it again.",
    ),
    "FILE_EMPTY": IssueCode(
        _ERROR,
        "文件是空的，没有任何内容。",
        "The file is empty.",
        "请检查导出过程，换上有内容的文件。",
        "Check how it was exported and bring a file with content.",
    ),
    "FILE_CHANGED": IssueCode(
        _ERROR,
        "读取过程中文件被改动或替换。",
        "The file was changed or replaced while it was being read.",
        "请等文件写完、关闭编辑软件后重新导入。",
        "Wait until it is fully written, close the editor and load again.",
    ),
    "FILE_ENCRYPTED": IssueCode(
        _ERROR,
        "文件设有打开密码，无法读取。",
        "The workbook is protected by a password.",
        "请去掉密码另存后再导入。",
        "Save it without the password and load again.",
    ),
    "FORMAT_UNKNOWN": IssueCode(
        _ERROR,
        "不认识的文件类型“{value}”。",
        "Unknown file type “{value}”.",
        "可用：csv、tsv、txt、xlsx、xlsm、xls、ods、gpkg、geojson、json、zip（Shapefile）。",
        "Use csv, tsv, txt, xlsx, xlsm, xls, ods, gpkg, geojson, json, or a zipped Shapefile.",
    ),
    "WRONG_FORMAT": IssueCode(
        _ERROR,
        "扩展名是“{value}”，内容却是{found}。",
        "The extension is “{value}” but the content is {found_en}.",
        "请把扩展名改正，或用原来的软件另存为需要的格式。",
        "Correct the extension, or save it again in the intended format.",
    ),
    "SHP_NOT_ZIPPED": IssueCode(
        _ERROR,
        "单独的 .shp 文件不含属性和坐标系。",
        "A bare .shp file carries neither attributes nor a coordinate system.",
        "请把同名的 .shp、.shx、.dbf、.prj（和 .cpg）一起压缩成一个 zip 再导入。",
        "Zip the .shp, .shx, .dbf, .prj (and .cpg) of the same name together and load the zip.",
    ),
    "ZIP_WITHOUT_SHP": IssueCode(
        _ERROR,
        "压缩包里没有 .shp 文件。",
        "The zip holds no .shp file.",
        "请把 .shp、.shx、.dbf、.prj 一起压缩后再导入。",
        "Zip the .shp, .shx, .dbf and .prj together and load again.",
    ),
    "SHP_INCOMPLETE": IssueCode(
        _ERROR,
        "压缩包里“{layer}”缺少 {missing} 文件。",
        "In the zip, “{layer}” lacks its {missing} file.",
        "请把同名的 .shp、.shx、.dbf 放在压缩包的同一文件夹里。",
        "Put the .shp, .shx and .dbf of one name in one folder of the zip.",
    ),
    "ENCODING_UNKNOWN": IssueCode(
        _ERROR,
        "看不出文字编码；可能是：{candidates}。",
        "The text encoding is unclear; it may be: {candidates}.",
        "请选定文字编码（命令行用 --encoding），或在 Excel、WPS 中另存为“CSV UTF-8”后再导入。",
        "Choose the encoding (--encoding on the command line), or save it as “CSV UTF-8” from Excel"
        " or WPS and load again.",
    ),
    "ENCODING_WRONG": IssueCode(
        _ERROR,
        "文件不是 {encoding} 编码，按它读不通；可能是：{candidates}。",
        "The file is not valid {encoding}; it may be: {candidates}.",
        "请改选其他文字编码，或在 Excel、WPS 中另存为“CSV UTF-8”后再导入。",
        "Name another encoding, or save it as “CSV UTF-8” from Excel or WPS and load again.",
    ),
    "ENCODING_NAME_UNKNOWN": IssueCode(
        _ERROR,
        "不认识的文字编码“{value}”。",
        "Unknown text encoding “{value}”.",
        "可用：{encodings}。",
        "Use one of: {encodings}.",
    ),
    "ENCODING_GUESSED": IssueCode(
        _WARNING,
        "文件自己声明的文字编码与内容不符，按 {encoding} 读取。",
        "The encoding the file states does not fit its content; it was read as {encoding}.",
        "请核对名称有无乱码；如有，请选定文字编码（命令行用 --encoding）重新导入。",
        "Check the names; if they are garbled, choose the encoding (--encoding on the command"
        " line).",
    ),
    # What a read may cost, and files made to do harm.
    "FILE_TOO_LARGE": IssueCode(
        _ERROR,
        "文件有 {size} MB，超过上限 {limit} MB。",
        "The file has {size} MB; the limit is {limit} MB.",
        "请按月份或地区拆成几个文件分别导入。",
        "Split it by month or by place and load the parts.",
    ),
    "FILE_TOO_COSTLY": IssueCode(
        _ERROR,
        "读取这个文件耗用的{what}超过上限，已中止，没有导入任何内容。",
        "Reading the file took more {what_en} than allowed; it was stopped and nothing loaded.",
        "请删去多余的工作表、空白区域和格式，或拆成几个文件后再导入。",
        "Remove unneeded sheets, blank areas and formats, or split the file, and load again.",
    ),
    "FILE_READER_DIED": IssueCode(
        _ERROR,
        "读取程序在处理这个文件时异常退出（{status}），没有导入任何内容。",
        "The reader ended abnormally on this file ({status}); nothing was loaded.",
        "文件可能已损坏，请用原来的软件打开并另存后再试；仍不行请联系管理员查看日志。",
        "It may be damaged: open it in its own software, save it again and retry, or see the log.",
    ),
    "READ_STOPPED": IssueCode(
        _ERROR,
        "读取已按要求停止，没有导入任何内容。",
        "The read was stopped as asked; nothing was loaded.",
        "如需导入，请重新开始。",
        "Start again to load it.",
    ),
    "ARCHIVE_UNSAFE": IssueCode(
        _ERROR,
        "压缩内容不安全，没有打开：{detail}。",
        "The archive is not safe and was not opened: {detail_en}.",
        "请用原来的软件重新导出；压缩包里只放需要的文件，不要再套压缩包。",
        "Export it again; put only the files needed into the archive, and no archive within it.",
    ),
    "XML_ENTITIES": IssueCode(
        _ERROR,
        "工作簿的 XML 里声明了实体（DTD），这不是表格软件正常保存的文件，没有打开。",
        "The workbook's XML declares entities (a DTD), which no spreadsheet program writes.",
        "请用 Excel 或 WPS 打开并另存为新的 xlsx 后再导入。",
        "Open it in Excel or WPS, save it as a new xlsx and load that.",
    ),
    "SHEET_TOO_LARGE": IssueCode(
        _ERROR,
        "工作表的单元格一直到 {value}，超过 {most} 个单元格，没有读取。",
        "The sheet reaches to cell {value}, more than {most} cells; it was not read.",
        "请删去表格右边和下边多余的内容，或把数据复制到新的工作表后再导入。",
        "Delete what lies far right or below, or copy the data to a new sheet, and load again.",
    ),
    "SEVERAL_LAYERS": IssueCode(
        _ERROR,
        "文件里有多个图层：{layers}。",
        "The file has several layers: {layers}.",
        "请指明要导入哪一个图层，或把它单独导出。",
        "Name the layer to load, or export it on its own.",
    ),
    "LAYER_NOT_FOUND": IssueCode(
        _ERROR,
        "文件里没有名为“{value}”的工作表或图层；现有：{layers}。",
        "There is no sheet or layer named “{value}”; there are: {layers}.",
        "请从现有名称中选择。",
        "Choose one of those.",
    ),
    # Sheets, headers, datasets.
    "NO_HEADER": IssueCode(
        _ERROR,
        "没有找到表头行。",
        "No header row was found.",
        "请在数据上方加一行列名，如“区划代码、月份、签约人数”。",
        "Add one row of column names above the data.",
    ),
    "NO_ROWS": IssueCode(
        _ERROR,
        "没有可导入的数据行。",
        "There are no data rows.",
        "请检查表头下面是否有数据。",
        "Check that there is data below the header.",
    ),
    "SHEET_SKIPPED": IssueCode(
        _INFO,
        "工作表“{sheet}”没有导入：{reason}。",
        "Sheet “{sheet}” was not loaded: {reason_en}.",
        "",
        "",
    ),
    "TOTAL_ROWS_SKIPPED": IssueCode(
        _INFO,
        "第 {lines} 行是合计或小计，没有导入（上级数由下级汇总得出）。",
        "Rows {lines} are totals and were not loaded; totals are computed from the places below.",
        "",
        "",
    ),
    "DATASET_NAME_UNKNOWN": IssueCode(
        _ERROR,
        "没有名为“{value}”的数据集。",
        "There is no dataset named “{value}”.",
        "可用：{datasets}。",
        "Use one of: {datasets}.",
    ),
    "DATASET_UNKNOWN": IssueCode(
        _ERROR,
        "从列名看不出是哪类数据；看到的列名：{headings}。",
        "The headings do not tell which dataset this is: {headings}.",
        "请选定数据类型（命令行用 --dataset），系统会指出缺哪些列；再照此改正列名。",
        "Choose the dataset (--dataset on the command line) to be told which columns lack, and"
        " correct the headings.",
    ),
    "DATASET_AMBIGUOUS": IssueCode(
        _ERROR,
        "这个文件既可能是{first}，也可能是{second}。",
        "The file could be {first_en} or {second_en}.",
        "请选定数据类型（命令行用 --dataset）。",
        "Choose the dataset (--dataset on the command line).",
    ),
    "MISSING_COLUMN": IssueCode(
        _ERROR,
        "缺少必需的列“{title}”（{name}）。",
        "The required column {name} is missing.",
        "请补上这一列；可用的列名：{aliases}。",
        "Add it; accepted headings: {aliases}.",
    ),
    "DUPLICATE_COLUMN": IssueCode(
        _ERROR,
        "有两列都是“{name}”：“{column}”和“{other}”。",
        "Two columns both mean {name}: “{column}” and “{other}”.",
        "请只保留一列，或把另一列改名。",
        "Keep one of them or rename the other.",
    ),
    "COLUMN_PREFERRED": IssueCode(
        _WARNING,
        "“{column}”和“{other}”都可以是“{name}”，用了“{other}”。",
        "“{column}” and “{other}” could both be {name}; “{other}” was used.",
        "如果不对，请把“{other}”改名。",
        "If that is wrong, rename “{other}”.",
    ),
    "UNKNOWN_COLUMN": IssueCode(
        _INFO,
        "列“{column}”没有登记的含义，未导入。",
        "Column “{column}” has no registered meaning and was not loaded.",
        "",
        "",
    ),
    "UNIT_MISMATCH": IssueCode(
        _ERROR,
        "列“{column}”的单位是“{found}”，登记的单位是“{unit}”。",
        "Column “{column}” is in “{found}” but the registered unit is “{unit}”.",
        "请换算成“{unit}”后再导入。",
        "Convert it to “{unit}” and load again.",
    ),
    # Cells.
    "MISSING_VALUE": IssueCode(
        _ERROR,
        "第 {row} 行的“{column}”没有填。",
        "Row {row}: “{column}” is blank.",
        "请补填。",
        "Fill it in.",
    ),
    "BAD_NUMBER": IssueCode(
        _ERROR,
        "第 {row} 行“{column}”的“{value}”不是数字。",
        "Row {row}, “{column}”: “{value}” is not a number.",
        "请只填数字，不带单位和文字；没有数据请留空。",
        "Give digits only, without unit or words; leave it blank for no data.",
    ),
    "PERCENT_FOR_COUNT": IssueCode(
        _ERROR,
        "第 {row} 行“{column}”应填数量（{unit}），却填了百分数“{value}”。",
        "Row {row}, “{column}” wants a count ({unit}) but has the percentage “{value}”.",
        "请填分子分母各自的数量，百分比由系统计算。",
        "Give the counts themselves; percentages are computed.",
    ),
    "NEGATIVE_COUNT": IssueCode(
        _ERROR,
        "第 {row} 行“{column}”是负数“{value}”。",
        "Row {row}, “{column}”: “{value}” is negative.",
        "数量不能为负，请核对。",
        "A count cannot be negative; check it.",
    ),
    "NOT_INTEGER": IssueCode(
        _ERROR,
        "第 {row} 行“{column}”应为整数，却是“{value}”。",
        "Row {row}, “{column}” must be a whole number but is “{value}”.",
        "请填整数；如果是百分比或万为单位的数，请换算。",
        "Give a whole number; convert shares or ten-thousands.",
    ),
    "OUT_OF_BOUNDS": IssueCode(
        _ERROR,
        "第 {row} 行“{column}”的“{value}”超出合理范围 {lower}–{upper} {unit}。",
        "Row {row}, “{column}”: “{value}” is outside {lower}–{upper} {unit}.",
        "请核对数值和单位。",
        "Check the figure and its unit.",
    ),
    "BAD_MONTH": IssueCode(
        _ERROR,
        "第 {row} 行的月份“{value}”不存在或无法识别。",
        "Row {row}: “{value}” is not a month.",
        "请写成 2026-10 或 2026年10月。",
        "Write it as 2026-10.",
    ),
    "MONTH_AMBIGUOUS": IssueCode(
        _ERROR,
        "第 {row} 行的月份“{value}”分不清是 1 月还是丢了 0 的 10 月。",
        "Row {row}: “{value}” may be January, or October that lost its zero.",
        "请写成 2026-01 或 2026-10。",
        "Write it as 2026-01 or 2026-10.",
    ),
    "MONTH_MISSING": IssueCode(
        _ERROR,
        "没有月份列，标题、工作表名和文件名里也没有月份。",
        "There is no month column, nor a month in the title, the sheet name or the file name.",
        "请选定月份（命令行用 --month 2026-10），或加一列“月份”。",
        "Choose the month (--month 2026-10 on the command line) or add a month column.",
    ),
    "MONTH_FROM_TITLE": IssueCode(
        _INFO,
        "月份按“{value}”取为 {month}。",
        "The month was taken from “{value}” as {month}.",
        "",
        "",
    ),
    "MONTH_CONFLICT": IssueCode(
        _ERROR,
        "指定的月份是 {asked}，表里写的却是“{value}”。",
        "The month given is {asked} but the table says “{value}”.",
        "请核对后用正确的月份重新导入。",
        "Check and load again with the right month.",
    ),
    "MONTH_ARGUMENT_BAD": IssueCode(
        _ERROR,
        "指定的月份“{value}”不存在或无法识别。",
        "The month given, “{value}”, is not a month.",
        "请写成 2026-10。",
        "Write it as 2026-10.",
    ),
    "BAD_YEAR": IssueCode(
        _ERROR,
        "第 {row} 行的年度“{value}”无法识别，或不在 {first}–{last} 年之间。",
        "Row {row}: “{value}” is not a year between {first} and {last}.",
        "请写成 2026。",
        "Write it as 2026.",
    ),
    "SHARE_AS_PERCENT": IssueCode(
        _WARNING,
        "第 {row} 行“{column}”的“{value}”按单元格的百分数格式取为 {percent}%。",
        "Row {row}, “{column}”: “{value}” was taken for {percent}%, as a percentage cell holds it.",
        "如本意是 {value}%，请带百分号填写后重新导入。",
        "If {value}% is meant, write the per cent sign and load again.",
    ),
    "SHARE_OR_PERCENT": IssueCode(
        _ERROR,
        "第 {row} 行“{column}”的“{value}”分不清是百分之几还是小数。",
        "Row {row}, “{column}”: “{value}” may be a percentage or a fraction.",
        "请带百分号填写，如 0.5% 或 50%（单元格设为文本）。",
        "Write it with a per cent sign, such as 0.5% or 50%, in a text cell.",
    ),
    "UNKNOWN_MEASURE": IssueCode(
        _ERROR,
        "第 {row} 行的指标“{value}”没有登记。",
        "Row {row}: measure “{value}” is not registered.",
        "可用的指标：{measures}。",
        "Registered measures: {measures}.",
    ),
    "UNKNOWN_SOURCE": IssueCode(
        _ERROR,
        "第 {row} 行的来源“{value}”不认识。",
        "Row {row}: source “{value}” is unknown.",
        "请填 reported（上报）、records（台账）或 verified（核实），或留空（按上报）。",
        "Use reported, records or verified, or leave it blank for reported.",
    ),
    "CODE_LOST_DIGITS": IssueCode(
        _ERROR,
        "第 {row} 行的代码“{value}”变成了科学计数法，后几位已经丢失。",
        "Row {row}: the code “{value}” is in scientific notation and has lost digits.",
        "请把代码列设为文本格式，重新填入完整代码。",
        "Format the code column as text and enter the full code again.",
    ),
    "BAD_LEVEL": IssueCode(
        _ERROR,
        "第 {row} 行的级别“{value}”不认识。",
        "Row {row}: level “{value}” is unknown.",
        "请填 国、省、市、县、乡镇、村 之一。",
        "Use nation, province, city, county, township or village.",
    ),
    "LEVEL_MISSING": IssueCode(
        _ERROR,
        "第 {row} 行“{value}”没有级别，代码也推不出级别。",
        "Row {row}: “{value}” has no level and its code does not tell one.",
        "请加一列“级别”。",
        "Add a level column.",
    ),
    "BAD_DATE": IssueCode(
        _ERROR,
        "第 {row} 行“{column}”的“{value}”不是日期。",
        "Row {row}, “{column}”: “{value}” is not a date.",
        "请写成 2026-01-01。",
        "Write it as 2026-01-01.",
    ),
    "BAD_PERIOD": IssueCode(
        _ERROR,
        "第 {row} 行的失效日期 {end} 不晚于生效日期 {start}。",
        "Row {row}: valid_to {end} is not after valid_from {start}.",
        "请改正两个日期（失效日期当天已不再有效）。",
        "Correct the dates; the place is no longer valid on valid_to itself.",
    ),
    "BAD_FLAG": IssueCode(
        _ERROR,
        "第 {row} 行“{column}”的“{value}”应为 是 或 否。",
        "Row {row}, “{column}”: “{value}” should be yes or no.",
        "请填 是 或 否。",
        "Use yes or no.",
    ),
    "UNKNOWN_KIND": IssueCode(
        _ERROR,
        "第 {row} 行的机构类别“{value}”不认识。",
        "Row {row}: institution kind “{value}” is unknown.",
        "请填 村卫生室、乡镇卫生院、县级医院、定点医疗机构 之一。",
        "Use village_clinic, township_centre, county_hospital or designated.",
    ),
    # Rows against each other.
    "DUPLICATE_ROW": IssueCode(
        _WARNING,
        "第 {row} 行与第 {first} 行完全重复（{key}），只取一次。",
        "Row {row} repeats row {first} ({key}); it was taken once.",
        "请删去重复的行。",
        "Delete the repetition.",
    ),
    "CONFLICTING_ROWS": IssueCode(
        _ERROR,
        "第 {row} 行与第 {first} 行是同一条记录（{key}），内容却不同：“{value}”与“{other}”。",
        "Rows {row} and {first} are the same record ({key}) but differ: “{value}” and “{other}”.",
        "请核对，只保留正确的一行。",
        "Keep the right one only.",
    ),
    "PART_EXCEEDS_WHOLE": IssueCode(
        _ERROR,
        "第 {row} 行{place} {month} 的{part} {value} 大于{whole} {limit}（{where}）。",
        "Row {row}: {place} {month}: {part_en} {value} exceeds {whole_en} {limit} ({where_en}).",
        "部分不能大于整体，请核对两个数。",
        "A part cannot exceed its whole; check both.",
    ),
    "IMPLAUSIBLE_TOTAL": IssueCode(
        _WARNING,
        "第 {row} 行{place} {month} 的{part} {value} 大于{whole} {limit}（{where}），少见。",
        "Row {row}: {place} {month}: {part_en} {value} is above {whole_en} {limit} ({where_en}).",
        "照原数导入，请核对。",
        "It was taken as it is; check it.",
    ),
    "YUAN_FOR_WAN": IssueCode(
        _WARNING,
        "第 {row} 行{place} {month} 的{measure}填 {value}，约为上月 {before} 的一万倍，"
        "疑似把元填作万元。",
        "Row {row}: {place} {month}: {measure_en} is {value}, about 10,000 times last month's "
        "{before}: probably yuan where 10,000 yuan is the unit.",
        "照原数导入；如以元为单位，请除以 10,000 后重新导入。",
        "It was taken as it is; if it is in yuan, divide by 10,000 and load again.",
    ),
    "TOTAL_DIFFERS": IssueCode(
        _WARNING,
        "第 {row} 行{place} {month} 的{measure}填 {value}，文件中其下级之和是 {total}。",
        "Row {row}: {place} {month}: {measure_en} is {value}; the places below it sum to {total}.",
        "汇总以下级之和为准，请核对。",
        "The sum of the places below is what will be shown; check it.",
    ),
    # Places.
    "UNKNOWN_PLACE": IssueCode(
        _ERROR,
        "第 {row} 行的地区代码“{value}”不在行政区划表里。",
        "Row {row}: place “{value}” is not in the table of places.",
        "请核对代码，或先导入行政区划。",
        "Check the code, or load the places first.",
    ),
    "PLACE_NOT_VALID": IssueCode(
        _ERROR,
        "第 {row} 行的“{value}”在 {month} 不是有效的行政区划。",
        "Row {row}: “{value}” is not a valid place in {month}.",
        "它可能已撤并或尚未设立，请改用当时有效的代码。",
        "It was abolished or not yet founded; use the code valid then.",
    ),
    "NAME_MATCHED": IssueCode(
        _INFO,
        "第 {row} 行没有代码，按上级“{parent}”下的全名“{value}”对应到 {place}。",
        "Row {row} has no code; “{value}” under “{parent}” was matched to {place} by full name.",
        "",
        "",
    ),
    "NAME_CONFIRMED": IssueCode(
        _INFO,
        "第 {row} 行的“{value}”按人工确认对应到 {place}。",
        "Row {row}: “{value}” was matched to {place} as a person confirmed.",
        "",
        "",
    ),
    "NAME_UNCONFIRMED": IssueCode(
        _ERROR,
        "第 {row} 行的地名“{value}”（上级：{parent}）没有对应上，{candidates}。",
        "Row {row}: “{value}” (under: {parent_en}) was not matched; {candidates_en}.",
        "请补上区划代码，或从候选中确认一个。",
        "Add the code, or confirm one of the candidates.",
    ),
    "CONFIRMED_PLACE_UNKNOWN": IssueCode(
        _ERROR,
        "第 {row} 行的“{value}”被确认为 {place}，但行政区划表里没有它。",
        "Row {row}: “{value}” was confirmed as {place}, which is not in the table of places.",
        "请重新选择。",
        "Choose again.",
    ),
    "NAME_CODE_MISMATCH": IssueCode(
        _WARNING,
        "第 {row} 行的名称“{value}”与代码 {place}（{name}）不符，以代码为准。",
        "Row {row}: the name “{value}” does not agree with code {place} ({name}); the code counts.",
        "请核对是否错行。",
        "Check whether rows have slipped.",
    ),
    "BAD_ID": IssueCode(
        _ERROR,
        "第 {row} 行的代码“{value}”含有不能使用的字符“/”。",
        "Row {row}: the id “{value}” contains “/”, which ids may not.",
        "请改正代码。",
        "Correct it.",
    ),
    "ROOT_TAKEN": IssueCode(
        _INFO,
        "第 {row} 行“{value}”的上级 {parent} 不在文件里，“{value}”作为最高一级。",
        "Row {row}: the parent {parent} of “{value}” is not in the file; it is the top place.",
        "",
        "",
    ),
    "UNKNOWN_PARENT": IssueCode(
        _ERROR,
        "第 {row} 行“{value}”的上级 {parent} 不在文件里，也没有导入过。",
        "Row {row}: the parent {parent} of “{value}” is neither in the file nor loaded.",
        "请先导入上级，或把上级一并放进文件；最高一级请把上级留空。",
        "Load the parent first or put it in the file; leave the parent of the top place blank.",
    ),
    "PARENT_REJECTED": IssueCode(
        _ERROR,
        "第 {row} 行“{value}”的上级 {parent} 在文件里有错误，本行随之不能导入。",
        "Row {row}: the parent {parent} of “{value}” is rejected, so this row is too.",
        "请先改正上级那一行。",
        "Correct the parent's row first.",
    ),
    "PARENT_CYCLE": IssueCode(
        _ERROR,
        "第 {row} 行“{value}”的上级绕了一圈又回到自己：{detail}。",
        "Row {row}: the parents of “{value}” lead back to itself: {detail}.",
        "请改正上级代码。",
        "Correct the parent codes.",
    ),
    "LEVEL_ORDER": IssueCode(
        _ERROR,
        "第 {row} 行“{value}”的级别不低于它的上级：{detail}。",
        "Row {row}: “{value}” is not below its parent in level: {detail}.",
        "请改正级别或上级代码。",
        "Correct the level or the parent.",
    ),
    "PERIODS_OVERLAP": IssueCode(
        _ERROR,
        "第 {row} 行“{value}”与同一代码的另一时段重叠：{detail}。",
        "Row {row}: “{value}” overlaps another period of the same code: {detail}.",
        "请给原来的一条填上失效日期，使前后两段相接。",
        "Give the earlier record a valid_to so that the periods follow each other.",
    ),
    "PLACE_MOVED": IssueCode(
        _ERROR,
        "第 {row} 行“{value}”的上级由 {old} 变成 {new}，却没有新的生效日期。",
        "Row {row}: “{value}” moves from {old} to {new} without a new valid_from.",
        "隶属变动请加一条新的生效日期，并给原来的一条填上失效日期。",
        "Add a record with the new valid_from and close the old one with a valid_to.",
    ),
    "PLACE_RENAMED": IssueCode(
        _INFO,
        "第 {row} 行的名称由“{old}”更正为“{value}”（没有新的生效日期，按更正处理）。",
        "Row {row}: the name is corrected from “{old}” to “{value}”.",
        "",
        "",
    ),
    # Persons. No text here may hold a whole identity number, phone or name.
    "ID_NUMBER_FORM": IssueCode(
        _ERROR,
        "第 {row} 行的身份证号“{value}”不是 18 位号码。",
        "Row {row}: the identity number “{value}” does not have 18 characters.",
        "请填 18 位号码(末位可为 X)；一代证的 15 位号码已停用，请按现用证件填写。",
        "Give all 18 characters (the last may be X); 15-digit numbers are no longer in use.",
    ),
    "ID_NUMBER_CHECK": IssueCode(
        _ERROR,
        "第 {row} 行的身份证号“{value}”校验码不对，号码有误。",
        "Row {row}: the check character of the identity number “{value}” is wrong.",
        "请对照证件核对；如末几位变成了 0，是表格软件改了数字，请把该列设为文本后重填。",
        "Compare it with the card; zeros at the end mean a spreadsheet rounded it: use text cells.",
    ),
    "ID_NUMBER_BIRTH": IssueCode(
        _ERROR,
        "第 {row} 行的身份证号“{value}”里的出生日期不可能。",
        "Row {row}: the date of birth within the identity number “{value}” is impossible.",
        "请对照证件核对。",
        "Compare it with the card.",
    ),
    "PERSON_NAME_BAD": IssueCode(
        _ERROR,
        "第 {row} 行的姓名“{value}”写法不对。",
        "Row {row}: “{value}” is not a name.",
        "请只填姓名，2 至 30 个字，不带数字、括号和备注。",
        "Give the name only: no digits, brackets or notes.",
    ),
    "PHONE_BAD": IssueCode(
        _ERROR,
        "第 {row} 行的电话“{value}”不是手机号或固定电话。",
        "Row {row}: “{value}” is not a phone number.",
        "请填一个 11 位手机号或带区号的固定电话；没有请留空。",
        "Give one mobile or landline number, or leave it blank.",
    ),
    "PERSON_SEX_DIFFERS": IssueCode(
        _WARNING,
        "第 {row} 行的性别“{value}”与身份证号不符，以身份证号为准。",
        "Row {row}: the sex “{value}” does not agree with the identity number, which counts.",
        "请核对是否错行。",
        "Check whether rows have slipped.",
    ),
    "PERSON_BIRTH_DIFFERS": IssueCode(
        _WARNING,
        "第 {row} 行的出生日期与身份证号不符，以身份证号为准。",
        "Row {row}: the date of birth does not agree with the identity number, which counts.",
        "请核对是否错行。",
        "Check whether rows have slipped.",
    ),
    "PERSON_TWICE": IssueCode(
        _ERROR,
        "第 {row} 行与第 {first} 行是同一身份证号（{value}），{what}却不同。",
        "Rows {row} and {first} have the same identity number ({value}) but differ in {what_en}.",
        "请核对，只保留正确的一行。",
        "Keep the right one only.",
    ),
    "PERSON_ELSEWHERE": IssueCode(
        _ERROR,
        "第 {row} 行的人员（身份证号 {value}）已登记在您无权导入的地区。",
        "Row {row}: this person ({value}) is registered at a place you may not load.",
        "如确已迁入，请由上级有权限的人员导入。",
        "If the person has moved here, somebody with a wider grant must load the row.",
    ),
    "PERSON_ERASED": IssueCode(
        _WARNING,
        "第 {row} 行的人员（身份证号 {value}）的个人数据已依规删除，本行没有导入。",
        "Row {row}: this person ({value}) was erased; the row was left out.",
        "请从名册中删去这一行；确需重新登记，请由系统管理员写明事由后恢复登记。",
        "Delete the row; to register the person again an administrator must give a reason.",
    ),
    # Records.
    "UNKNOWN_CHOICE": IssueCode(
        _ERROR,
        "第 {row} 行“{column}”的“{value}”不在可填的范围内。",
        "Row {row}, “{column}”: “{value}” is none of the words that may stand here.",
        "可填：{words}。",
        "Use one of: {words}.",
    ),
    "CODE_IS_PERSONAL": IssueCode(
        _ERROR,
        "第 {row} 行“{column}”填的是身份证号或手机号（{value}）。",
        "Row {row}, “{column}”: this is an identity or mobile number ({value}).",
        "请填户编号、团队编号或机构代码，不要用个人号码代替。",
        "Give the code of the household, team or institution, not a personal number.",
    ),
    "RECORDS_CONFLICT": IssueCode(
        _ERROR,
        "第 {row} 行与第 {first} 行是同一条记录（{key}），{what}却不同。",
        "Rows {row} and {first} are the same record ({key}) but differ in {what}.",
        "请核对，只保留正确的一行。",
        "Keep the right one only.",
    ),
    "DATE_IN_FUTURE": IssueCode(
        _ERROR,
        "第 {row} 行“{column}”是 {value}，还没有到这一天。",
        "Row {row}, “{column}”: {value} lies in the future.",
        "请核对日期；没有发生的服务不能记录。",
        "Check the date; what has not happened cannot be recorded.",
    ),
    "CONTRACT_ENDS_BEFORE_START": IssueCode(
        _ERROR,
        "第 {row} 行的结束日期 {value} 不晚于开始日期 {start}。",
        "Row {row}: the end {value} is not after the start {start}.",
        "请核对两个日期是否填反。",
        "Check whether the two dates were swapped.",
    ),
    "SERVICE_BEFORE_BIRTH": IssueCode(
        _ERROR,
        "第 {row} 行的日期 {value} 早于本人出生日期。",
        "Row {row}: the date {value} lies before the person was born.",
        "请核对日期和身份证号是否错行。",
        "Check the date, and whether rows have slipped.",
    ),
    "SERVICE_AFTER_DEATH": IssueCode(
        _ERROR,
        "第 {row} 行的日期 {value} 晚于台账中本人的死亡日期。",
        "Row {row}: the date {value} lies after the person's recorded death.",
        "请核实：若台账有误请先改正台账，否则删去这一行。",
        "Find out which is wrong: correct the resident record first, or delete this row.",
    ),
    "PERSON_TWO_VILLAGES": IssueCode(
        _ERROR,
        "第 {row} 行的人员在同一时期已登记在另一个村：{other}。",
        "Row {row}: the person is recorded in another village for the same time: {other}.",
        "迁居请先给原村的记录填上退出日期，再登记新村。",
        "Give the record of the former village its end first, then record the new one.",
    ),
    "CONTRACTS_OVERLAP": IssueCode(
        _ERROR,
        "第 {row} 行的签约期与同一人的另一份签约({other})重叠。",
        "Row {row}: the contract overlaps another one of the same person ({other}).",
        "请核对两份协议的起止日期，只保留一份或改正日期。",
        "Correct the dates, or keep one of the two contracts.",
    ),
    "TEAM_WITHOUT_MEMBERS": IssueCode(
        _ERROR,
        "第 {row} 行的团队没有成员。",
        "Row {row}: the team has no members.",
        "请填写成员人数；已解散的团队请填撤销日期。",
        "Give the number of members; a team that no longer exists gets its end date.",
    ),
    "RECORD_PART_ABOVE": IssueCode(
        _ERROR,
        "第 {row} 行“{column}”的 {value} 大于“{whole}”的 {other}。",
        "Row {row}, “{column}”: {value} is above {other} of “{whole}”.",
        "请核对这两个数。",
        "Check the two figures.",
    ),
    # Points, shapes, coordinate systems.
    "BAD_COORDINATE": IssueCode(
        _ERROR,
        "第 {row} 行“{column}”的“{value}”不是经纬度。",
        "Row {row}, “{column}”: “{value}” is not a longitude or latitude in degrees.",
        "请填十进制度数，如 116.683752；没有坐标请留空。",
        "Give decimal degrees such as 116.683752; leave it blank if unknown.",
    ),
    "COORDINATES_SWAPPED": IssueCode(
        _ERROR,
        "第 {row} 行的经度和纬度好像填反了：经度 {lon}，纬度 {lat}。",
        "Row {row}: longitude and latitude look swapped: longitude {lon}, latitude {lat}.",
        "请对调两列。",
        "Swap the two columns.",
    ),
    "COORDINATE_INCOMPLETE": IssueCode(
        _WARNING,
        "第 {row} 行“{value}”的坐标只填了一半或是 0，按没有坐标导入。",
        "Row {row}: the coordinates of “{value}” are half blank or 0; taken without a point.",
        "请补全经度和纬度。",
        "Complete longitude and latitude.",
    ),
    "POINT_FAR_FROM_PARENT": IssueCode(
        _WARNING,
        "第 {row} 行“{value}”的坐标离所在地 {place} 的边界 {km} 公里。",
        "Row {row}: “{value}” lies {km} km outside its place {place}.",
        "请核对坐标和所在地代码。",
        "Check the coordinates and the place.",
    ),
    "LOST_FROM_PARENT": IssueCode(
        _ERROR,
        "第 {row} 行“{value}”的位置离所在地 {place} 的边界 {km} 公里，不可能正确。",
        "Row {row}: “{value}” lies {km} km outside its place {place}, which cannot be right.",
        "请核对坐标、坐标系和所在地代码。",
        "Check the coordinates, their system and the place.",
    ),
    "COORDINATES_OUTSIDE": IssueCode(
        _ERROR,
        "第 {row} 行“{value}”的坐标（经度 {lon}，纬度 {lat}）不在中国范围内。",
        "Row {row}: “{value}” lies at longitude {lon}, latitude {lat}, outside China.",
        "请核对坐标和坐标系。",
        "Check the coordinates and their system.",
    ),
    "GEOMETRY_TOO_DETAILED": IssueCode(
        _ERROR,
        "第 {row} 个要素“{value}”的图形有 {count} 个顶点，超过上限 {most}。",
        "Feature {row}, “{value}”: the geometry has {count} vertices; the limit is {most}.",
        "请在制图软件中简化后再导入。",
        "Simplify it in the mapping software and load again.",
    ),
    "PROBABLY_SHIFTED": IssueCode(
        _WARNING,
        "坐标整体偏离上级边界约 {metres} 米，很可能是 {system} 坐标。",
        "The coordinates lie about {metres} m off their parents; they are probably {system}.",
        "如果是，请把坐标系选为 {option}（命令行用 --crs {option}）重新导入。",
        "If so, choose the coordinate system {option} (--crs {option} on the command line).",
    ),
    "GEOMETRY_REPAIRED": IssueCode(
        _WARNING,
        "第 {row} 个要素“{value}”的边界有误，已自动修复：{detail}。",
        "Feature {row}, “{value}”: the polygon was invalid and has been repaired: {detail_en}.",
        "请在地图上核对形状。",
        "Check its shape on the map.",
    ),
    "GEOMETRY_BAD": IssueCode(
        _ERROR,
        "第 {row} 个要素“{value}”的图形不可用：{detail}。",
        "Feature {row}, “{value}”: the geometry is unusable: {detail_en}.",
        "请在制图软件中重画或删除它的边界。",
        "Redraw it, or remove its geometry, in the mapping software.",
    ),
    "GEOMETRY_EMPTY": IssueCode(
        _WARNING,
        "第 {row} 个要素“{value}”没有边界，只导入名称和代码。",
        "Feature {row}, “{value}” has no geometry; only its name and code were taken.",
        "如有边界请补上。",
        "Add the boundary if there is one.",
    ),
    "COORDINATES_UNUSABLE": IssueCode(
        _ERROR,
        "坐标超出经纬度范围，与所用坐标系 {crs} 不符。",
        "The coordinates are outside the range of degrees and do not fit {crs}.",
        "请选定真实的坐标系，如 CGCS2000（命令行用 --crs 4490）。",
        "Choose the true coordinate system, such as CGCS2000 (--crs 4490 on the command line).",
    ),
    "CRS_MISSING": IssueCode(
        _INFO,
        "文件没有写明坐标系，按 WGS84 处理。",
        "The file does not state its coordinate system; WGS84 was assumed.",
        "",
        "",
    ),
    "CRS_UNKNOWN": IssueCode(
        _ERROR,
        "坐标系“{value}”无法识别。",
        "The coordinate system “{value}” is unknown.",
        "请选定坐标系（命令行用 --crs，如 4326、4490、gcj02、bd09）。",
        "Choose the coordinate system (--crs on the command line, such as 4326, 4490, gcj02 or"
        " bd09).",
    ),
    "CRS_WARNING": IssueCode(
        _WARNING,
        "坐标系 {crs}：{detail}",
        "Coordinate system {crs}: {detail_en}",
        "请在地图上核对位置。",
        "Check the positions on the map.",
    ),
}


def make(
    code: str,
    sheet: str | None = None,
    row: int | None = None,
    column: str | None = None,
    value: str | None = None,
    **params: Any,
) -> Issue:
    """One issue; its message says what is wrong and what to do.

    Raises:
        KeyError: the code is not registered.
        TypeError: the params are not the ones the code's templates need.
    """
    rows = np.array([row or 0], dtype=np.int64)
    return next(iter(block(code, rows, sheet, column, value, **params)))


def block(
    code: str,
    rows: NDArray[np.int64],
    sheet: Cells = None,
    column: Cells = None,
    value: Cells = None,
    **params: Any,
) -> IssueBlock:
    """Many issues of one code at once; arrays are parallel to ``rows`` (0: no row).

    Raises:
        KeyError: the code is not registered.
        TypeError: the params are not the ones the code's templates need.
    """
    entry = CODES[code]
    if params.keys() != entry.params:
        raise TypeError(f"{code} needs {sorted(entry.params)}, got {sorted(params)}")
    return IssueBlock(
        code=code,
        severity=entry.severity,
        template=entry.template,
        template_en=entry.template_en,
        rows=rows,
        sheet=sheet,
        column=column,
        value=value,
        params=params,
    )
