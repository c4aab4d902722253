-- pandoc's filter for the manual pages: what is good in a browser and bad in a terminal.

-- A table's columns are too narrow there. Its first column becomes the terms of a list, the others their definitions.
function Table(table)
  local heads = {}
  for _, cell in ipairs(table.head.rows[1].cells) do
    heads[#heads + 1] = pandoc.utils.blocks_to_inlines(cell.contents)
  end
  local items = {}
  for _, body in ipairs(table.bodies) do
    for _, row in ipairs(body.body) do
      local definition = {}
      for column = 2, #row.cells do
        local inlines = pandoc.utils.blocks_to_inlines(row.cells[column].contents)
        if #inlines > 0 then
          if #row.cells > 2 then
            inlines = pandoc.Inlines({ pandoc.Emph(heads[column]), pandoc.Str(":"), pandoc.Space() }) .. inlines
          end
          definition[#definition + 1] = pandoc.Para(inlines)
        end
      end
      items[#items + 1] = { pandoc.utils.blocks_to_inlines(row.cells[1].contents), { definition } }
    end
  end
  return pandoc.DefinitionList(items)
end

-- Nobody follows a link to a place in the same page, or to a file of the repository.
function Link(link)
  if not link.target:match("^https?:") then
    return link.content
  end
end

-- What stands on a line of its own stays there.
function Para(para)
  for index, inline in ipairs(para.content) do
    local following = para.content[index + 1]
    if inline.t == "SoftBreak" and following.t == "Str" and following.text:match("^%u%l+:$") then
      para.content[index] = pandoc.LineBreak()
    end
  end
  return para
end

function Header(header)
  if header.level == 1 then
    header.content = pandoc.text.upper(pandoc.utils.stringify(header))
  end
  return header
end
