-- Lets the job go on: what was stopped is started again, and held requests become one reset.
if obj.spec.suspend ~= true then
  error("the job is not suspended", 0)
end
obj.spec.suspend = false
return obj
